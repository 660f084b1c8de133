package router

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/containerd/errdefs"

	"github.com/atom-router/atom-router/atom"
)

const (
	// halfMadeAfter is when an atom that was created and never started is
	// taken for what a crashed Create left.
	halfMadeAfter = 15 * time.Minute
	// Sweeps come at a quarter of the shortest retention, between these, or
	// sooner: up to half of the time less at random, as routers that were
	// started together would else come together for ever.
	sweepOften  = time.Second
	sweepSeldom = 5 * time.Minute
	// The first one comes soon: routers that live shortly sweep too.
	sweepFirst = time.Minute
)

// clean is the janitor: it removes what Backend.Retention no longer keeps, and
// what crashed Creates left half-made, until the router is closed. It wakes no
// plugin for the sake of half-made atoms alone.
func (e *Engine) clean() {
	last := time.Now()
	for first := true; ; {
		every := e.sweepEvery()
		if first {
			every = min(every, sweepFirst)
		}
		every = every/2 + rand.N(every/2+1)
		timer := time.NewTimer(time.Until(last.Add(every)))
		select {
		case <-e.life.Done():
			timer.Stop()
			return
		case <-e.replaced:
			timer.Stop()
			continue
		case <-timer.C:
		}
		e.sweepAll()
		first, last = false, time.Now()
	}
}

func (e *Engine) sweepEvery() time.Duration {
	e.mu.Lock()
	defer e.mu.Unlock()
	every := sweepSeldom
	for _, b := range e.now.backends {
		if r := b.conf.Retention; r > 0 {
			every = min(every, max(r/4, sweepOften))
		}
	}
	return every
}

func (e *Engine) sweepAll() {
	t, release := e.hold()
	defer release()
	each(t.backends, func(_ int, b *backend) {
		if b.conf.Retention > 0 || b.current.Load() != nil {
			e.sweep(e.life, b, atom.OwnerOr(t.config.Owner))
		}
	})
}

// sweep clears one backend of an owner's atoms once. Several routers may sweep
// the same one.
func (e *Engine) sweep(ctx context.Context, b *backend, owner string) {
	atoms, err := e.listOne(ctx, b, &atom.EngineListRequest{Owner: owner})
	if err != nil {
		b.log.Debug("the janitor cannot list", "error", err)
		return
	}
	// Other routers sweep the same backend, now perhaps: in another order they
	// seldom remove the same atom twice.
	rand.Shuffle(len(atoms), func(i, j int) { atoms[i], atoms[j] = atoms[j], atoms[i] })
	for _, a := range atoms {
		// A Reload may have changed it since.
		if retention, ok := e.retention(b); ctx.Err() != nil || !ok || !expired(a, retention, time.Now()) {
			continue
		}
		_, err := ask(ctx, b, func(ctx context.Context, i *instance) (struct{}, error) {
			ctx, cancel := context.WithTimeout(ctx, e.options.AskTimeout)
			defer cancel()
			d, ok := i.engine.(atom.Deleter)
			if !ok {
				return struct{}{}, nil
			}
			// Without Force: an atom that runs by now, or that the engine
			// knows to be fetching its image, is FailedPrecondition and
			// stays.
			return struct{}{}, d.Delete(&atom.EngineDeleteRequest{ID: a.ID(), Owner: owner, Context: ctx})
		})
		switch {
		case err == nil:
			b.log.Debug("the janitor removed an atom", "id", joinID(b.conf.Name, a.ID()), "state", a.State())
		case errdefs.IsNotFound(err), errdefs.IsFailedPrecondition(err), ctx.Err() != nil:
		default:
			b.log.Debug("the janitor cannot remove an atom", "id", joinID(b.conf.Name, a.ID()), "error", err)
		}
	}
}

// retention is that of a backend now; false where it is not in the config any
// more.
func (e *Engine) retention(b *backend) (time.Duration, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, now := range e.now.backends {
		if now.supervisor == b.supervisor {
			return now.conf.Retention, true
		}
	}
	return 0, false
}

// expired reports whether an atom has outlived retention, or its Create.
func expired(a atom.Atom, retention time.Duration, now time.Time) bool {
	switch {
	case a.State() == atom.Created && a.StartedAt().IsZero():
		return now.Sub(a.CreatedAt()) > halfMadeAfter
	case a.State() != atom.Stopped || retention <= 0:
		return false
	}
	end := a.StoppedAt()
	if end.IsZero() { // it never started
		end = a.CreatedAt()
	}
	return now.Sub(end) > retention
}
