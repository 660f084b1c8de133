package router

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/atom-router/atom-router/atom"
)

// DefaultRule is what the default decides under: the rule's name in decisions
// and with the atoms it routed. No rule may be called so.
const DefaultRule = "default"

// Health is what decisions ask of a backend.
type Health struct {
	// Cause is why the backend takes no new atoms; "" where it takes them. A
	// backend that drains is Unavailable.
	Cause Cause
	// Reason says the Cause in words: "drains", "200 of 200 atoms run".
	Reason string
	// Capabilities are what the backend can do, nil while that is not known.
	Capabilities atom.Capabilities
}

// Decision is what the rules make of a request.
type Decision struct {
	// Rule is the rule that decided: its name, or DefaultRule.
	Rule string
	// Candidates are all backends that the rule leads to, in the order in
	// which they are tried: tier by tier, and inside a tier by the weighted
	// rendezvous of the request's Key. It is empty where the request is
	// rejected.
	Candidates []Candidate
	// AllowDuplicates is the rule's.
	AllowDuplicates bool
	// Rejected is why the rules refuse the request; "" where they do not.
	Rejected string
	// Trace tells of each rule why it did or did not decide. It is made only
	// for Explain.
	Trace []RuleTrace
}

// Candidate is one backend that a decision leads to.
type Candidate struct {
	Backend string
	// Tier counts the rule's tiers from 0.
	Tier int
	// Cause is why the backend took no atoms when the decision was made.
	Cause Cause
	// Missing is what the request needs and the backend cannot do.
	Missing []atom.Capability
	// Reason says Cause or Missing in words; "" for a backend that can be
	// tried.
	Reason string
	// On is for which causes its tier is entered; empty is for all.
	On []Cause

	weight int
	total  int // of the tier's weights
}

// RuleTrace tells what a rule made of a request.
type RuleTrace struct {
	Rule    string
	Matched bool
	// Reason is why, with patterns and what they were held against. It shows
	// no values of env.
	Reason string
}

// noRule is why the zero default rejects.
const noRule = "no rule matched"

// decide finds where a request goes. It is pure: the same rules, request and
// health give the same decision in every router. The first rule that matches
// decides; a condition that cannot be evaluated rejects, so that a request
// never falls through to a rule that was not meant for it.
//
// health is asked only for the backends of the rule that decided.
//
// x is the rules' index; without one, and for a trace, all are gone through.
func decide(rules []Rule, x *index, fallback *Rule, r *atom.EngineCreateRequest, health func(string) Health, trace bool) Decision {
	own := viewOf(r)
	v := &own // which stays on the stack
	var t *tracer
	if trace {
		t = &tracer{list: make([]RuleTrace, 0, len(rules)+1)}
	}
	var candidates ruleSet
	var space [256]uint64 // which saves an allocation for up to 16,384 rules
	if x != nil && t == nil {
		candidates = x.candidates(v, space[:])
	}
	for i := candidates.next(0); i < len(rules); i = candidates.next(i + 1) {
		rule := &rules[i]
		if t == nil && !rule.Match.holds(v, nil) {
			continue // nearly all rules of most decisions without an index
		}
		matched, err := rule.matches(v, t)
		if err != nil {
			d := Decision{Rule: rule.Name, Rejected: fmt.Sprintf("its condition cannot be evaluated: %v", err)}
			return t.finish(d, rules[i+1:])
		}
		if matched {
			return t.finish(rule.decision(rule.Name, r, health), rules[i+1:])
		}
	}
	t.begin(DefaultRule)
	t.end(true, noRule)
	return t.finish(fallback.decision(DefaultRule, r, health), nil)
}

// matches reports whether the rule decides. Match goes first, being cheap.
func (rule *Rule) matches(v *view, t *tracer) (bool, error) {
	why := t.begin(rule.Name)
	if !rule.Match.holds(v, why) {
		t.end(false, "")
		return false, nil
	}
	if rule.When == nil {
		t.end(true, "")
		return true, nil
	}
	ok, err := rule.When.Eval(v.request)
	switch {
	case t == nil:
	case err != nil:
		t.end(true, fmt.Sprintf("when %s", rule.When))
	case ok:
		t.end(true, fmt.Sprintf("when %s holds", rule.When))
	default:
		why.list = nil
		t.end(false, fmt.Sprintf("when %s does not hold", rule.When))
	}
	return ok, err
}

func (rule *Rule) decision(name string, r *atom.EngineCreateRequest, health func(string) Health) Decision {
	d := Decision{Rule: name, Rejected: rule.Reject, AllowDuplicates: rule.AllowDuplicates}
	if d.Rejected == "" && len(rule.Tiers) == 0 {
		d.Rejected = noRule
	}
	if d.Rejected == "" {
		d.Candidates = rule.candidates(r, health)
	}
	return d
}

func (rule *Rule) candidates(r *atom.EngineCreateRequest, health func(string) Health) []Candidate {
	needs := needed(r)
	all := 0
	for _, tier := range rule.Tiers {
		all += len(tier.Targets)
	}
	list := make([]Candidate, 0, all)
	for i, tier := range rule.Tiers {
		total := 0
		for _, target := range tier.Targets {
			total += target.Weight
		}
		for _, target := range byRendezvous(r.Key, tier.Targets) {
			h := health(target.Backend)
			c := Candidate{Backend: target.Backend, Tier: i, Cause: h.Cause, weight: target.Weight, total: total}
			if i > 0 {
				c.On = tier.On
			}
			if h.Capabilities != nil {
				c.Missing = h.Capabilities.Missing(needs)
			}
			switch {
			case len(c.Missing) > 0:
				c.Reason = "cannot do " + capabilityNames(c.Missing)
			case c.Cause != "":
				c.Reason = string(c.Cause)
				if h.Reason != "" {
					c.Reason = h.Reason
				}
			}
			list = append(list, c)
		}
	}
	return list
}

// needed is what a backend must be able to do. A Key that was made for this call
// is only for those who know what to do with one: nobody needs CapLookup for it.
func needed(r *atom.EngineCreateRequest) []atom.Capability {
	needs := r.Needs()
	if r.FreshKey {
		return slices.DeleteFunc(needs, func(n atom.Capability) bool { return n == atom.CapLookup })
	}
	return needs
}

// Backend is where the request goes as things stand; "" where it goes nowhere.
func (d *Decision) Backend() string {
	if c := d.Walk().Next(); c != nil {
		return c.Backend
	}
	return ""
}

// Err is why the request goes nowhere as things stand: a *atom.Rejection, or that
// of Walk. It is nil where it goes to a Backend.
func (d *Decision) Err() error {
	if d.Rejected != "" {
		return &atom.Rejection{Rule: d.Rule, Reason: d.Rejected}
	}
	w := d.Walk()
	if w.Next() != nil {
		return nil
	}
	if len(d.Candidates) == 0 {
		return errors.New("the rule leads to no backend")
	}
	return w.Err()
}

func capabilityNames(cs []atom.Capability) string {
	names := make([]string, len(cs))
	for i, c := range cs {
		names[i] = string(c)
	}
	return strings.Join(names, ", ")
}
