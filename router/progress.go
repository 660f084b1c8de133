package router

import (
	"fmt"

	"github.com/atom-router/atom-router/atom"
)

// progressOf is what a backend tells its progress to, nil where nobody wants to
// know.
func (c *creation) progressOf(b *backend) func(atom.Progress) {
	if c.request.Progress == nil {
		return nil
	}
	return func(p atom.Progress) {
		if p.Backend == "" {
			p.Backend = b.conf.Name
		} else { // a router itself: named as IDs are
			p.Backend = b.conf.Name + ":" + p.Backend
		}
		c.request.Progress(p)
	}
}

// passedOver says that one backend was tried in vain, and which comes next.
func passedOver(tried, next *Candidate) atom.Progress {
	why := tried.Reason
	if tried.Cause != "" {
		why = fmt.Sprintf("%s (%s)", tried.Cause, tried.Reason)
	}
	return atom.Progress{Backend: tried.Backend, Phase: atom.PhasePassedOver, Text: why + ", trying " + next.Backend}
}
