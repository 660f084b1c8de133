package router

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/atom-router/atom-router/atom"
)

// Probe implements atom.Prober: what the backends can do together, as far as
// they were asked already; those that were not are asked now. It is
// Unavailable where none of them has answered. Once one has, the others are
// waited for a little: whoever asks has no part in their troubles.
func (e *Engine) Probe(ctx context.Context) (atom.Capabilities, error) {
	t, release := e.hold()
	defer release()
	errs := make([]error, len(t.backends))
	some := make(chan struct{}) // closed once one has answered
	answered := sync.OnceFunc(func() { close(some) })
	each(t.backends, func(n int, b *backend) {
		if b.health().Capabilities == nil {
			asked, cancel := besides(ctx, some, waitBesides(b))
			defer cancel()
			if errs[n] = answers(asked, b); errs[n] != nil {
				return
			}
		}
		answered()
	})
	if ctx.Err() != nil {
		return nil, opError("probe", "", "", ctx.Err())
	}
	var can atom.Capabilities
	for _, b := range t.backends {
		has := b.health().Capabilities
		if has != nil && can == nil {
			can = atom.Capabilities{}
		}
		for _, c := range has {
			if !slices.Contains(can, c) {
				can = append(can, c)
			}
		}
	}
	if can != nil {
		return can, nil
	}
	for n, err := range errs {
		if err != nil {
			return nil, opError("probe", t.backends[n].conf.Name, "", err)
		}
	}
	return nil, opError("probe", "", "", errClosed())
}

// waitBesides is how long a backend's answer is waited for where there are
// others. Of one that is in trouble already not much is expected.
func waitBesides(b *backend) time.Duration {
	switch b.status().State {
	case Idle, Starting, Ready:
		return probeTimeout / 2
	}
	return probeTimeout / 10
}

// besides is ctx until a while after some was closed.
func besides(ctx context.Context, some <-chan struct{}, while time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	go func() { // ends with ctx
		select {
		case <-some:
		case <-ctx.Done():
			return
		}
		t := time.NewTimer(while)
		defer t.Stop()
		select {
		case <-t.C:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}
