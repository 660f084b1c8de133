package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/containerd/errdefs"

	"github.com/atom-router/atom-router/router"
)

// vigil watches the backend of a job that is being followed. Engines wait for a
// daemon that goes away to come back, for ever if need be; whoever sits before
// a silent terminal has to hear of it, and a script has to end.
type vigil struct {
	every, patience time.Duration
	ask             func(context.Context) error
	say             func(string)
}

// errMayNotAsk is of a client that the daemon does not let ask for backends. It
// hears from its Wait what becomes of the job.
var errMayNotAsk = errors.New("the daemon does not tell of its backends")

// keep returns why the backend does not answer once that has lasted for
// patience, or nil when ctx ends, or nobody may ask.
func (v vigil) keep(ctx context.Context) error {
	tick := time.NewTicker(v.every)
	defer tick.Stop()
	var since time.Time // zero while it answers
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		err := v.ask(ctx)
		switch {
		case ctx.Err() != nil, errors.Is(err, errMayNotAsk):
			return nil
		case err == nil:
			if !since.IsZero() {
				v.say("It answers again.")
			}
			since = time.Time{}
		case since.IsZero():
			since = time.Now()
			v.say(fmt.Sprintf("%v; waiting up to %v for it", err, v.patience))
		case time.Since(since) > v.patience:
			return fmt.Errorf("no answer for %v: %w", v.patience, err)
		}
	}
}

// answers asks a backend whether it does.
func answers(ctx context.Context, r fleet, backend string) error {
	all, err := r.ProbeBackends(ctx, backend)
	switch {
	case errdefs.IsPermissionDenied(err):
		return errMayNotAsk
	case err != nil:
		return err
	case len(all) == 1 && all[0].State == router.Ready:
		return nil
	case len(all) == 1 && all[0].LastError != nil:
		return fmt.Errorf("backend %s: %w", backend, all[0].LastError)
	}
	return errors.New("backend " + backend + " does not answer")
}
