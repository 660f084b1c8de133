package router

import (
	"time"
)

// backend is one backend of a config, with what keeps it alive. A reload that
// changes only how the router uses it makes another one of the same
// supervisor and rooms.
type backend struct {
	conf Backend
	*supervisor
	rooms *rooms
}

// health is what is known without asking.
func (b *backend) health() Health {
	var h Health
	if i := b.current.Load(); i != nil {
		if p := i.probed.Load(); p != nil && !i.outdated(p) { // or a Create would be refused unasked
			h.Capabilities = p.can
		}
	}
	if b.conf.Drain {
		h.Cause, h.Reason = Unavailable, "drains"
		return h
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.launch == nil && !b.lost && !b.retryAt.IsZero() && time.Until(b.retryAt) > 0 {
		h.Cause, h.Reason = Unavailable, b.lastErr.Error()
	}
	return h
}

func (b *backend) status() BackendStatus {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := BackendStatus{
		Name: b.conf.Name, Plugin: b.conf.Plugin, Address: b.conf.Address, State: b.state, Since: b.since,
		Restarts: max(b.launches-1, 0), LastError: b.lastErr,
		MaxAtoms: b.conf.MaxAtoms, Drain: b.conf.Drain, Retention: b.conf.Retention,
	}
	if b.conf.Engine != nil {
		s.Plugin = ""
	}
	if i := b.current.Load(); i != nil {
		s.Version = i.version
		if p := i.probed.Load(); p != nil {
			s.Capabilities = p.can
		}
	}
	return s
}
