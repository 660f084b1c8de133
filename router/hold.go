package router

import (
	"slices"
	"time"

	"github.com/containerd/errdefs"

	"github.com/atom-router/atom-router/atom"
)

// A call holds the backends that it may ask: one that a reload has taken out
// of the config is ended when nobody holds it any more.

// hold returns the table of now and holds all its backends until release is
// called, which is needed once.
func (e *Engine) hold() (t *table, release func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	t = e.now
	for _, b := range t.backends {
		b.users++
	}
	return t, func() { e.release(t.backends...) }
}

// holdOne holds the backend of a name or alias, also one that is on its way
// out, until release is called, which is needed once.
func (e *Engine) holdOne(name string) (t *table, b *backend, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	b, ok := e.now.byName[name]
	for n := len(e.leaving) - 1; n >= 0 && !ok; n-- {
		b = e.leaving[n]
		ok = b.conf.Name == name || slices.Contains(b.conf.Aliases, name)
	}
	switch {
	case ok:
	case e.left[name]:
		return nil, nil, atom.Errorf(errdefs.ErrNotFound,
			"backend %s was removed from the config; its atoms are where they were, for a config that has it", quote(name))
	default:
		return nil, nil, e.now.noBackend(name)
	}
	b.users++
	return e.now, b, nil
}

// release ends a hold, and with the last one what nobody is led to any more.
func (e *Engine) release(bs ...*backend) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, b := range bs {
		if b.users--; b.users == 0 && !b.leftAt.IsZero() {
			e.leaving = slices.DeleteFunc(e.leaving, func(l *backend) bool { return l.supervisor == b.supervisor })
			e.dismiss(b)
		}
	}
}

// dismiss ends a backend. Called with mu held.
func (e *Engine) dismiss(b *backend) {
	if e.closed {
		return // Close ends it
	}
	b.log.Info("backend has drained")
	e.wg.Go(b.close)
}

// turnTo makes next the table of what comes. It reports false where the
// router is closed.
func (e *Engine) turnTo(next *table) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return false
	}
	old := e.now
	e.now = next
	for name := range old.byName {
		e.left[name] = true
	}
	stay := make(map[*supervisor]bool)
	for _, b := range next.backends {
		stay[b.supervisor] = true
	}
	for name := range next.byName {
		delete(e.left, name)
	}
	for _, b := range old.backends {
		if stay[b.supervisor] {
			continue
		}
		b.leftAt = time.Now()
		if b.users == 0 {
			e.dismiss(b)
		} else {
			e.leaving = append(e.leaving, b)
		}
	}
	return true
}
