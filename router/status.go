package router

import (
	"context"
	"time"

	"github.com/atom-router/atom-router/atom"
)

// BackendState is how a backend does.
type BackendState string

const (
	// Idle backends were not asked for anything yet.
	Idle BackendState = "idle"
	// Starting backends launch or configure their plugin.
	Starting BackendState = "starting"
	// Ready backends answer.
	Ready BackendState = "ready"
	// Degraded backends have a working plugin; what stands behind it does
	// not answer.
	Degraded BackendState = "degraded"
	// BackingOff backends have lost their plugin, or could not start it, and
	// start it again when a call comes after a while.
	BackingOff BackendState = "backing off"
	// Draining backends are out of the config and end with the last call
	// that is under way there.
	Draining BackendState = "draining"
	// Failed backends have given up for longer: their config is wrong, or
	// the plugin did not get ready so many times in a row.
	Failed BackendState = "failed"
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
