package atom

import "time"

// Label marks every object that an engine makes as ours: its presence selects
// atoms among whatever else runs on a backend. Labels under it (see the Label
// constants below) are reserved; requests that set them are refused.
const Label = "cloud.caesium"

// Labels that engines keep with each atom, as labels or annotations of the
// backend.
const (
	LabelOwner   = Label + ".owner"   // whose atom it is
	LabelName    = Label + ".name"    // the request's Name
	LabelRule    = Label + ".rule"    // the rule that chose the backend
	LabelCreated = Label + ".created" // creation time, Unix nanoseconds in decimal
	LabelHash    = Label + ".hash"    // EngineCreateRequest.Hash
)

// Atom is a snapshot of one workload, as the engine saw it when asked. It is
// immutable: ask the engine again to see what changed since.
//
// Atoms of this module's engines also implement Namer, Imager, Labeler, Ruler,
// ExitCoder and Messenger; InfoOf gathers all that an Atom can tell.
type Atom interface {
	// ID finds the atom again at the engine that returned it. It is opaque.
	ID() string
	// State is where in its life the atom was.
	State() State
	// Result is Unknown until the atom has stopped.
	Result() Result
	// CreatedAt is when the engine made the atom.
	CreatedAt() time.Time
	// StartedAt is when its process started; zero if it did not.
	StartedAt() time.Time
	// StoppedAt is when its process ended; zero while it has not.
	StoppedAt() time.Time
	// Engine is the engine that returned this snapshot; where that was a
	// router, the router.
	Engine() Engine
}

// Namer is an Atom that knows the Name it was created with.
type Namer interface{ Name() string }

// Imager is an Atom that knows the Image it was created with.
type Imager interface{ Image() string }

// Labeler is an Atom that knows the Spec.Labels it was created with. The map
// is a copy.
type Labeler interface{ Labels() map[string]string }

// Ruler is an Atom that knows the router's rule that chose its backend; ""
// where no router did.
type Ruler interface{ Rule() string }

// ExitCoder is an Atom that knows the exit code of its process as the backend
// reported it; nil until there is one.
type ExitCoder interface{ ExitCode() *int }

// Messenger is an Atom that says in words why it is in its state, where that
// needs saying ("ErrImagePull: …").
type Messenger interface{ Message() string }

// Info is what an Atom tells, as plain data. Engines fill one in and hand it
// to New.
type Info struct {
	ID        string
	Name      string
	Image     string
	Labels    map[string]string
	Rule      string
	State     State
	Result    Result
	ExitCode  *int
	Message   string
	CreatedAt time.Time
	StartedAt time.Time
	StoppedAt time.Time
}

// New returns the Atom that info describes, as seen by engine. The atom
// implements every optional interface of this package. Engines call it; info
// must not be changed afterwards.
func New(info Info, engine Engine) Atom {
	if info.State == "" {
		info.State = Invalid
	}
	if info.Result == "" {
		info.Result = Unknown
	}
	return &snapshot{info: info, engine: engine}
}

// InfoOf gathers what a tells through Atom and the optional interfaces it
// implements.
func InfoOf(a Atom) Info {
	if s, ok := a.(*snapshot); ok {
		info := s.info
		info.Labels = s.Labels()
		info.ExitCode = s.ExitCode()
		return info
	}
	info := Info{
		ID: a.ID(), State: a.State(), Result: a.Result(),
		CreatedAt: a.CreatedAt(), StartedAt: a.StartedAt(), StoppedAt: a.StoppedAt(),
	}
	if n, ok := a.(Namer); ok {
		info.Name = n.Name()
	}
	if i, ok := a.(Imager); ok {
		info.Image = i.Image()
	}
	if l, ok := a.(Labeler); ok {
		info.Labels = l.Labels()
	}
	if r, ok := a.(Ruler); ok {
		info.Rule = r.Rule()
	}
	if e, ok := a.(ExitCoder); ok {
		info.ExitCode = e.ExitCode()
	}
	if m, ok := a.(Messenger); ok {
		info.Message = m.Message()
	}
	return info
}
