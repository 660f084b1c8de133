package docker

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"

	"github.com/atom-router/atom-router/atom"
)

const (
	// lookAgain bounds how long a Wait trusts the event stream alone, and up to
	// as much again at random: a router's Waits may all have begun at once.
	lookAgain = time.Minute
	// lookSoon is for what is about to change: an event came before the
	// daemon's record did, or the other way round.
	lookSoon = 100 * time.Millisecond
	// eventGrace is how long the event of a removal may take to arrive.
	eventGrace = 2 * time.Second
	// looksAtOnce bounds the connections that thousands of Waits take when all
	// of them have to look. Other calls do not queue behind them.
	looksAtOnce = 16
)

// look lets a Wait ask the daemon once, when it is its turn. The stack that
// this takes is not the Wait's, which would keep it for as long as it waits.
func (e *Engine) look(ctx context.Context, ask func(context.Context) (container.InspectResponse, error)) (c container.InspectResponse, err error) {
	select {
	case e.looking <- struct{}{}:
		defer func() { <-e.looking }()
	case <-ctx.Done():
		return c, endOf(ctx)
	}
	asked := make(chan struct{})
	go func() { // ends with the answer, or with ctx
		defer close(asked)
		c, err = ask(ctx)
	}()
	<-asked
	return c, err
}

// Wait returns the atom once it has stopped. While the daemon is away it goes
// on waiting.
func (e *Engine) Wait(r *atom.EngineWaitRequest) (atom.Atom, error) {
	ctx := atom.ContextOr(r.Context)
	var t *ticket
	c, err := e.look(ctx, func(ctx context.Context) (container.InspectResponse, error) {
		if !e.daemon.podman.Load() { // whose events come before its records change
			t = e.watch.joinOpen(r.ID)
		}
		return e.find(ctx, r.ID, r.Owner)
	})
	if t != nil {
		defer t.leave()
	}
	if err != nil {
		return nil, err
	}
	info := infoOf(c)
	if info.State.Done() {
		return e.atomOf(c), nil
	}
	return e.await(ctx, info, t)
}

// await waits for the end of a container that has just been seen. While it does
// it keeps what an atom is made of, a tenth of what the daemon told. t is a
// ticket that was taken before, or nil.
func (e *Engine) await(ctx context.Context, last atom.Info, t *ticket) (atom.Atom, error) {
	ctx, cancel := e.bound(ctx)
	defer cancel()
	if t == nil {
		t = e.watch.join(last.ID)
		defer t.leave()
		t.signal() // it may have ended before the ticket was taken
	}
	next := lookAgain + rand.N(lookAgain)
	var goneSince time.Time
	for {
		timer := time.NewTimer(next)
		select {
		case <-t.look:
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
		c, err := e.look(ctx, func(ctx context.Context) (container.InspectResponse, error) { return e.inspect(ctx, last.ID) })
		next = lookAgain + rand.N(lookAgain)
		switch {
		case ctx.Err() != nil:
			return nil, endOf(ctx)
		case err == nil:
			last = infoOf(c)
			if a, ok := e.stoppedAs(c); ok {
				return a, nil
			}
			if f := t.fate(); f.ended || f.gone {
				next = lookSoon
			}
		case errdefs.IsNotFound(err):
			if goneSince.IsZero() {
				goneSince = time.Now()
			}
			f := t.fate()
			if f.ended || f.gone || time.Since(goneSince) > eventGrace {
				e.markStopping(last.ID, false)
				return atom.New(obituary(last, f), e), nil
			}
			next = lookSoon
		default:
			// The daemon is away; the stream's return wakes us.
			next = backoffMax + rand.N(backoffMax)
		}
	}
}

// stoppedAs is the atom as a Wait returns it, if its process has ended. One that
// is being removed has stopped, and that is what a Wait is about.
func (e *Engine) stoppedAs(c container.InspectResponse) (atom.Atom, bool) {
	info := infoOf(c)
	switch {
	case info.State.Done():
		return e.atomOf(c), true
	case info.State == atom.Deleting && !info.StoppedAt.IsZero():
		info.State = atom.Stopped
		e.markStopping(c.ID, false)
		return atom.New(info, e), true
	}
	return nil, false
}

// obituary tells of a container that is gone: how it ended if an event told,
// and else that nobody knows.
func obituary(info atom.Info, f fate) atom.Info {
	if !f.ended {
		info.State, info.Result, info.ExitCode = atom.Deleted, atom.Unknown, nil
		info.Message = "the container was removed, and nobody saw how it ended"
		return info
	}
	exit := atom.Exit{Code: &f.code, OutOfMemory: f.oom}
	info.State, info.Result, info.ExitCode, info.StoppedAt = atom.Stopped, exit.Result(), exit.Code, f.at
	return info
}

// bound is ctx that ends with the engine, too.
func (e *Engine) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(e.ctx, func() { cancel(errClosed) })
	return ctx, func() {
		stop()
		cancel(context.Canceled)
	}
}

// endOf is why ctx ended: its own error, or that the engine was closed.
func endOf(ctx context.Context) error {
	if cause := context.Cause(ctx); errors.Is(cause, errClosed) {
		return cause
	}
	return ctx.Err()
}

// errClosed is why calls end when their engine does.
var errClosed = atom.Errorf(errdefs.ErrUnavailable, "the engine was closed")
