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
	// Address is as in the config; "" for a plugin.
	Address string
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
// order and then those that a Reload took out and that are still in use. It
// asks none of them and launches nothing.
func (e *Engine) Backends() []BackendStatus {
	e.mu.Lock()
	defer e.mu.Unlock()
	var all []BackendStatus
	for _, b := range e.now.backends {
		all = append(all, b.status())
	}
	for _, b := range e.leaving {
		s := b.status()
		s.State, s.Since = Draining, b.leftAt
		all = append(all, s)
	}
	return all
}

// ProbeBackends launches the named backends, all where none is named, asks each
// whether what stands behind it answers, and tells how they do. A name that
// the config does not know is NotFound; that a backend does not answer is no
// error but its state. It takes no longer than the slowest backend's start
// and answer.
func (e *Engine) ProbeBackends(ctx context.Context, names ...string) ([]BackendStatus, error) {
	t, release := e.hold()
	defer release()
	bs, err := t.named(names)
	if err != nil {
		return nil, opError("probe", "", "", err)
	}
	all := make([]BackendStatus, len(bs))
	each(bs, func(n int, b *backend) {
		_ = answers(ctx, b) // the status tells
		all[n] = b.status()
	})
	return all, ctx.Err()
}
