package router

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/containerd/errdefs"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/internal/backoff"
)

// waitFor is Wait at a backend. It outlives the backend's plugin: it is asked
// again at each next instance, for as long as the backend has not failed.
func waitFor(ctx context.Context, b *backend, r routed, o Observer) (atom.Atom, error) {
	i, err := b.instance(ctx)
	var away away
	for again := false; ; again = true {
		if err != nil {
			return nil, err
		}
		bound, end := b.bound(ctx, i)
		a, failed := i.engine.Wait(&atom.EngineWaitRequest{ID: r.native, Owner: r.owner, Context: bound})
		end()
		switch {
		case failed == nil:
			b.note(i, nil)
			return a, nil
		case ctx.Err() != nil:
			return nil, ended(ctx, failed)
		case again && noAtom(failed):
			return gone(r.native), nil
		case lost(ctx, i, failed):
			if i, err = b.next(ctx); err == nil && o != nil {
				o.Resumed(ctx, "wait", b.conf.Name)
			}
		case again && errdefs.IsUnavailable(failed):
			// The first plugin would have sat it out that what stands behind
			// it is away.
			if err = b.sleep(ctx, away.pause()); err == nil {
				i, err = b.next(ctx)
			}
		default:
			i.doubt(failed)
			return nil, b.endOf(ctx, failed)
		}
	}
}

// noAtom reports whether err says that an atom is not there. That another
// router has no such backend in its config, any more, says nothing of the
// atom.
func noAtom(err error) bool {
	op, ok := err.(*atom.OpError)
	return errdefs.IsNotFound(err) && (!ok || op.Backend != "")
}

// away counts how often in a row what stands behind a plugin did not answer a
// call that waits for it.
type away int

// pause is how long to leave it alone after another time.
func (a *away) pause() time.Duration {
	*a++
	return backoff.Away.After(int(*a), rand.Int64N)
}

// gone is the atom that a Wait was for and that no plugin knew any more when it
// was asked again.
func gone(native string) atom.Atom {
	return atom.New(atom.Info{
		ID: native, State: atom.Deleted, Result: atom.Unknown,
		Message: "the atom was deleted while its backend was away, and nobody saw how it ended",
	}, nil)
}

// lasting is the LogSource of a backend's logs that goes on with the next
// instance where one is lost: after the last cursor, and without the bytes
// that were given since.
type lasting struct {
	caller context.Context
	ctx    context.Context // ends with the caller's, with Close, and with the backend
	cancel context.CancelFunc
	b      *backend
	req    atom.EngineLogsRequest // as the engine gets it
	// observer is told of resumptions; nil where nobody is.
	observer Observer

	cursor string // of the last chunk that had one
	past   int    // bytes given after it
	skip   int    // bytes that come again, and were given

	mu     sync.Mutex // guards what Close needs
	inst   *instance
	logs   *atom.LogReader
	closed bool
}

// newLasting opens the logs that req describes, which is the engine's.
func newLasting(ctx context.Context, b *backend, req atom.EngineLogsRequest, o Observer) (*lasting, error) {
	l := &lasting{b: b, req: req, observer: o}
	l.caller = ctx
	own, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(b.life, cancel) // engines in this process know nothing of it
	l.ctx, l.cancel = own, func() { stop(); cancel() }
	_, err := ask(l.ctx, b, func(ctx context.Context, i *instance) (struct{}, error) {
		if req.Stream != "" {
			if err := can(ctx, b, i, atom.CapLogStreams); err != nil {
				return struct{}{}, err
			}
		}
		return struct{}{}, l.open(i)
	})
	if err != nil {
		l.cancel()
		return nil, b.endOf(ctx, err) // l.ctx may have ended with the backend
	}
	return l, nil
}

// open asks an instance for what is still to come.
func (l *lasting) open(i *instance) error {
	req := l.req
	req.Context = l.ctx
	if l.cursor != "" {
		req.Cursor = l.cursor
	}
	logs, err := i.engine.Logs(&req)
	if err != nil {
		return err
	}
	r := readerOf(logs)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return errors.Join(atom.ErrLogsClosed, r.Close())
	}
	l.inst, l.logs, l.skip = i, r, l.past
	return nil
}

// Next implements atom.LogSource.
func (l *lasting) Next() (atom.LogChunk, error) { return l.next((*atom.LogReader).Next) }

// Lend implements atom.LogLender.
func (l *lasting) Lend() (atom.LogChunk, error) { return l.next(atom.Borrow) }

func (l *lasting) next(from func(*atom.LogReader) (atom.LogChunk, error)) (atom.LogChunk, error) {
	for {
		chunk, err := from(l.logs)
		if err == nil {
			if chunk = l.take(chunk); len(chunk.Data) > 0 {
				return chunk, nil
			}
			continue
		}
		if errors.Is(err, io.EOF) || l.ctx.Err() != nil || !l.resumable() || !lost(l.ctx, l.inst, err) {
			l.cancel()
			return atom.LogChunk{}, l.b.endOf(l.caller, err)
		}
		if err := l.resume(); err != nil {
			l.cancel()
			return atom.LogChunk{}, l.b.endOf(l.caller, err)
		}
		if l.observer != nil {
			l.observer.Resumed(l.ctx, "logs", l.b.conf.Name)
		}
	}
}

// resume goes on with the next instance.
func (l *lasting) resume() error {
	_ = l.logs.Close() // it has ended
	i, err := l.b.next(l.ctx)
	if err != nil {
		return err
	}
	for away := away(0); ; {
		if err = l.open(i); err == nil || l.ctx.Err() != nil || !errdefs.IsUnavailable(err) {
			return err
		}
		if !lost(l.ctx, i, err) { // what stands behind it is away
			if err := l.b.sleep(l.ctx, away.pause()); err != nil {
				return err
			}
		}
		if i, err = l.b.next(l.ctx); err != nil {
			return err
		}
	}
}

// resumable reports whether asking again gives what is still to come: a Tail
// is counted from an end that moves, and until something of it was read nobody
// knows where that was.
func (l *lasting) resumable() bool {
	return l.cursor != "" || l.req.Cursor != "" || l.req.Tail == 0
}

// take takes off what was given already, and notes where the rest ends.
func (l *lasting) take(chunk atom.LogChunk) atom.LogChunk {
	n := min(l.skip, len(chunk.Data))
	l.skip -= n
	chunk.Data = chunk.Data[n:]
	if chunk.Cursor != "" {
		l.cursor, l.past = chunk.Cursor, l.skip
	} else {
		l.past += len(chunk.Data)
	}
	return chunk
}

// Close implements atom.LogSource.
func (l *lasting) Close() error {
	l.cancel()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	return l.logs.Close()
}
