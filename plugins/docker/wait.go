package docker

import (
	"context"
	"errors"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"

	"github.com/atom-router/atom-router/atom"
)

const (
	// lookAgain bounds how long a Wait trusts the event stream alone.
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

// look lets a Wait ask the daemon once, when it is its turn.
func (e *Engine) look(ctx context.Context, ask func(context.Context) (container.InspectResponse, error)) (container.InspectResponse, error) {
	select {
	case e.looking <- struct{}{}:
		defer func() { <-e.looking }()
		return ask(ctx)
	case <-ctx.Done():
		return container.InspectResponse{}, endOf(ctx)
	}
}

// Wait returns the atom once it has stopped. While the daemon is away it goes
// on waiting.
func (e *Engine) Wait(r *atom.EngineWaitRequest) (atom.Atom, error) {
	ctx := atom.ContextOr(r.Context)
	c, err := e.look(ctx, func(ctx context.Context) (container.InspectResponse, error) { return e.find(ctx, r.ID, r.Owner) })
	if err != nil {
		return nil, err
	}
	info := infoOf(c)
	if info.State.Done() {
		return e.atomOf(c), nil
	}
	return e.await(ctx, info)
}

// await waits for the end of a container that has just been seen. While it does
// it keeps what an atom is made of, a tenth of what the daemon told.
func (e *Engine) await(ctx context.Context, last atom.Info) (atom.Atom, error) {
	ctx, cancel := e.bound(ctx)
	defer cancel()
	t := e.watch.join(last.ID)
	defer t.leave()
	var goneSince time.Time
	for {
		// Looking comes first: it may have ended before the ticket was
		// taken.
		c, err := e.look(ctx, func(ctx context.Context) (container.InspectResponse, error) { return e.inspect(ctx, last.ID) })
		next := lookAgain
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
			next = backoffMax
		}
		timer := time.NewTimer(next)
		select {
		case <-t.look:
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
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
