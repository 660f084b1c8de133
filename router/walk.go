package router

import (
	"fmt"
	"slices"
	"strings"

	"github.com/containerd/errdefs"

	"github.com/atom-router/atom-router/atom"
)

// Walk goes through the candidates of a decision as they are to be tried:
//
//	walk := decision.Walk()
//	for c := walk.Next(); c != nil; c = walk.Next() {
//		… try c and return; or, where nothing was made there:
//		walk.Pass(router.Unavailable, err.Error())
//	}
//	return walk.Err()
//
// Next leaves out what took no atoms already when the decision was made. A
// backend is tried when those of its tier, and of the tier entered before it,
// were passed over for nothing but causes in its tier's On. A tier that is not
// entered leaves that question to the tier after it. A backend that cannot do
// what the request needs counts as if the rule did not name it.
//
// A Walk is for one goroutine.
type Walk struct {
	candidates []Candidate
	next       int
	current    *Candidate
	// tier is the one entered last, and causes why its backends were passed
	// over.
	tier   int
	causes []Cause

	passed  []string
	falls   []fall
	missing int
	// full and unavailable count the backends passed over for that.
	full, unavailable int
}

// fall is a backend that was passed over for a cause.
type fall struct {
	backend string
	cause   Cause
}

// Walk begins before the first candidate.
func (d *Decision) Walk() *Walk { return &Walk{candidates: d.Candidates, tier: -1} }

// Next returns the next backend to try, and nil after the last.
func (w *Walk) Next() *Candidate {
	w.current = nil
	for w.next < len(w.candidates) {
		c := &w.candidates[w.next]
		w.next++
		if len(c.Missing) > 0 {
			w.missing++
			w.passed = append(w.passed, c.Backend+": "+c.Reason)
			continue
		}
		if !c.follows(w.causes) {
			w.passed = append(w.passed, fmt.Sprintf("%s: is only for when those before it are %s", c.Backend, joinCauses(c.On)))
			continue
		}
		if c.Tier != w.tier {
			w.tier, w.causes = c.Tier, nil
		}
		w.current = c
		if c.Cause == "" {
			return c
		}
		w.Pass(c.Cause, c.Reason)
	}
	return nil
}

// Pass says why the backend that Next returned made no atom, so that Next may
// go on to another.
func (w *Walk) Pass(cause Cause, reason string) {
	if w.current == nil {
		return
	}
	w.causes = append(w.causes, cause)
	w.falls = append(w.falls, fall{w.current.Backend, cause})
	if cause == Full {
		w.full++
	} else {
		w.unavailable++
	}
	w.passed = append(w.passed, w.current.Backend+": "+reason)
	w.current = nil
}

// Passed tells of each backend that was passed over so far, and why.
func (w *Walk) Passed() []string { return slices.Clone(w.passed) }

// Err says why no backend was there to try or took the request: NotImplemented
// where none of them can do what it needs, ResourceExhausted where those that
// can are full, else Unavailable.
func (w *Walk) Err() error {
	why := strings.Join(w.passed, "; ")
	switch {
	case w.missing > 0 && w.missing == len(w.candidates):
		return atom.Errorf(errdefs.ErrNotImplemented, "no backend can do what the request needs (%s)", why)
	case w.full > 0 && w.unavailable == 0:
		return atom.Errorf(errdefs.ErrResourceExhausted, "no backend has room (%s)", why)
	}
	return atom.Errorf(errdefs.ErrUnavailable, "no backend takes the request (%s)", why)
}

// follows reports whether the candidate may be tried after others were passed
// over for these causes.
func (c *Candidate) follows(causes []Cause) bool {
	if len(c.On) == 0 {
		return true
	}
	return !slices.ContainsFunc(causes, func(cause Cause) bool { return !slices.Contains(c.On, cause) })
}

func joinCauses(cs []Cause) string {
	names := make([]string, len(cs))
	for i, c := range cs {
		names[i] = string(c)
	}
	return strings.Join(names, " or ")
}
