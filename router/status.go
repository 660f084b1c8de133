package router

import (
	"context"
	"time"

	"github.com/atom-router/atom-router/atom"
)

// BackendStatus tells how a backend does.
type BackendStatus struct {
	Name string
	// Plugin is as in the config; "" for an engine inside this process.
	Plugin string
	// Version is the plugin's own word, once it was launched.
	Version string
	State   BackendState
	// Since is when it came into this state.
	Since time.Time
	// Restarts counts the launches after the first.
	Restarts int
	// LastError is why it last left Ready, or could not get there; nil if
	// that never happened.
	LastError error
	// Capabilities are what it can do, once it was asked; nil before.
	Capabilities atom.Capabilities
	MaxAtoms     int
	Drain        bool
	Retention    time.Duration
}

// Backends tells how the backends do as far as is known, in the config's
// order. It asks none of them and launches nothing.
func (e *Engine) Backends() []BackendStatus {
	all := make([]BackendStatus, len(e.backends))
	for n, b := range e.backends {
		all[n] = b.status()
	}
	return all
}

// ProbeBackends launches the named backends, all where none is named, asks each
// whether what stands behind it answers, and tells how they do. A name that
// the config does not know is NotFound; that a backend does not answer is no
// error but its state. It takes no longer than the slowest backend's start
// and answer.
func (e *Engine) ProbeBackends(ctx context.Context, names ...string) ([]BackendStatus, error) {
	bs, err := e.named(names)
	if err != nil {
		return nil, opError("probe", "", "", err)
	}
	all := make([]BackendStatus, len(bs))
	each(bs, func(n int, b *backend) {
		if i, err := b.instance(ctx); err == nil {
			_, err := i.probe(ctx)
			if ctx.Err() == nil {
				b.note(i, err)
			}
		}
		all[n] = b.status()
	})
	return all, ctx.Err()
}

func (b *backend) status() BackendStatus {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := BackendStatus{
		Name: b.conf.Name, Plugin: b.conf.Plugin, State: b.state, Since: b.since,
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
