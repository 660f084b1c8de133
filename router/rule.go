package router

import "github.com/atom-router/atom-router/atom"

// Rule sends the requests that it matches to backends, or rejects them.
// Rules stand in order; the first that matches decides.
type Rule struct {
	// Name is stored with each atom that the rule routed.
	Name string
	// Match is what must hold of a request; the zero Match holds for all.
	Match Match
	// When must hold too; nil always does. It is evaluated only after Match
	// holds.
	When Condition
	// Reject refuses the request with this reason. A rule either rejects or
	// has Tiers.
	Reject string
	// Tiers are tried in order.
	Tiers []Tier
	// AllowDuplicates lets a request with a caller-given Key fail over while
	// another backend of the rule, which may hold its atom already, does not
	// answer.
	AllowDuplicates bool
}

// Tier is a set of backends that stand for one another.
type Tier struct {
	Targets []Target
	// On is when this tier is entered after the one before it; empty is for
	// every Cause. It has no meaning on the first tier.
	On []Cause
}

// Target is a backend with its share of a tier's requests.
type Target struct {
	Backend string
	// Weight is at least 1.
	Weight int
}

// Cause is why a backend was passed over.
type Cause string

const (
	// Unavailable backends have no working plugin, or no daemon behind it.
	Unavailable Cause = "unavailable"
	// Full backends have max_atoms running atoms, or said ResourceExhausted.
	Full Cause = "full"
)

// Condition is a predicate over a request that is more than a Match: an
// expression of the config language. It must be pure and safe for concurrent
// use.
type Condition interface {
	// Eval reports whether the condition holds. An error rejects the
	// request.
	Eval(*atom.EngineCreateRequest) (bool, error)
	// String is the condition's source text.
	String() string
}

// Match holds for a request when all that it names holds. Fields left empty
// are not asked. A list of patterns holds when any of them does.
type Match struct {
	Name, Image, User, WorkDir, Pull []Pattern
	// Command and Entrypoint are matched as one text, joined by blanks.
	Command, Entrypoint []Pattern
	// Env and Labels ask for keys: each must be there with a value that one
	// of its patterns matches.
	Env, Labels map[string][]Pattern
	// Mount patterns hold when some mount matches all of those given.
	MountType, MountSource, MountTarget []Pattern
	// Bounds are inclusive. Units are those of container.Resources.
	CPUMin, CPUMax       *float64
	MemoryMin, MemoryMax *int64
	GPUsMin, GPUsMax     *int
	// Not lists what must not hold.
	Not []Match

	// sorted is Labels and Env as prepared made them.
	sorted *sortedKeys
}
