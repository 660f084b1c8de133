//go:build linux || darwin

package process

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/containerd/errdefs"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/plugins/process/internal/state"
)

// Logs implements atom.Engine. The reader is an *atom.LogReader, each of its
// chunks one or more whole records of one stream; a cursor is the offset of
// the record after them.
func (e *Engine) Logs(r *atom.EngineLogsRequest) (io.ReadCloser, error) {
	if err := e.begin(r.Context); err != nil {
		return nil, err
	}
	switch r.Stream {
	case "", atom.Stdout, atom.Stderr:
	default:
		return nil, &atom.FieldError{Field: "stream", Reason: fmt.Sprintf("%q is none of stdout, stderr", r.Stream)}
	}
	if r.Tail < atom.TailNone {
		return nil, &atom.FieldError{Field: "tail", Reason: fmt.Sprintf("%d is negative", r.Tail)}
	}
	v, err := e.store.find(r.Owner, r.ID)
	if err != nil {
		return nil, err
	}
	l := &logSource{engine: e, view: v, request: *r, coalesce: !r.Timestamps, ended: v.exit}
	if r.Cursor != "" {
		if l.offset, err = parseCursor(r.Cursor); err != nil {
			return nil, err
		}
		l.begun = true
	}
	l.ctx, l.cancel = context.WithCancel(atom.ContextOr(r.Context))
	l.growth, l.life = e.watch.subscribe(), e.watch.subscribe()
	// Now, since what Tail and NoFollow mean is what is there now.
	if _, err := l.open(); err != nil {
		return nil, l.fail(err)
	}
	l.begun = true
	return atom.NewLogReader(l, r.Timestamps), nil
}

const cursorPrefix = "p1."

func cursorAt(offset int64) string { return cursorPrefix + strconv.FormatInt(offset, 36) }

func parseCursor(s string) (int64, error) {
	text, ok := strings.CutPrefix(s, cursorPrefix)
	offset, err := strconv.ParseInt(text, 36, 64)
	if !ok || err != nil || offset < 0 {
		return 0, &atom.FieldError{Field: "cursor", Reason: "is none of this engine's"}
	}
	return offset, nil
}

const (
	// maxChunk is how much output is put into one chunk where records may be
	// joined.
	maxChunk = 32 << 10
	// logWindow is how much of the log is read at once at most, minWindow at
	// first.
	logWindow = 512 << 10
	minWindow = 8 << 10
)

// logSource reads a log while it is written.
type logSource struct {
	engine   *Engine
	view     *view
	request  atom.EngineLogsRequest
	coalesce bool

	ctx    context.Context
	cancel context.CancelFunc
	growth *subscription
	life   *subscription

	// mu keeps Close from closing what Next is about to open.
	mu     sync.Mutex
	closed bool

	window
	told   bool  // life is told of changes
	seen   bool  // the atom was looked at since life told of one
	begun  bool  // offset is where delivery begins or goes on
	offset int64 // of the next record
	skip   skips
	limit  int64       // NoFollow: what had been written when asked
	ended  *state.Exit // how the atom ended, once that is known
	lent   []byte      // the last chunk's data, to be overwritten
}

// Close implements atom.LogSource.
func (l *logSource) Close() error {
	l.cancel()
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed {
		l.closed = true
		l.growth.close()
		l.life.close()
		if l.file != nil {
			l.file.Close()
		}
	}
	return nil
}

// Next implements atom.LogSource.
func (l *logSource) Next() (atom.LogChunk, error) { return l.next(nil) }

// Lend implements atom.LogLender.
func (l *logSource) Lend() (atom.LogChunk, error) {
	chunk, err := l.next(l.lent)
	l.lent = chunk.Data
	return chunk, err
}

// next is Next; the chunk's data is put into buf, where it fits.
func (l *logSource) next(buf []byte) (atom.LogChunk, error) {
	for {
		if err := l.ctx.Err(); err != nil {
			return atom.LogChunk{}, l.fail(err)
		}
		if ready, err := l.open(); err != nil {
			return atom.LogChunk{}, l.fail(err)
		} else if ready {
			chunk, err := l.chunk(buf)
			if err != nil {
				return atom.LogChunk{}, l.fail(err)
			}
			if len(chunk.Data) > 0 {
				return chunk, nil
			}
		}
		if err := l.more(); err != nil {
			return atom.LogChunk{}, l.fail(err)
		}
	}
}

// fail ends the source with err, freeing what it holds.
func (l *logSource) fail(err error) error {
	l.Close()
	return err
}

// open opens the log, and finds where to begin; false while there is none.
func (l *logSource) open() (bool, error) {
	if l.file == nil {
		f, err := os.Open(filepath.Join(l.view.dir, state.LogFile))
		if state.Gone(err) {
			return false, nil
		}
		if err != nil {
			return false, failure("opening the log", err)
		}
		l.mu.Lock()
		l.file = f
		if l.closed {
			f.Close()
		}
		l.mu.Unlock()
		// The name may be another incarnation's by now, the file not.
		if !l.view.isStill() {
			return false, notFound(l.view.meta.ID)
		}
		if !l.request.NoFollow {
			l.growth.add(filepath.Join(l.view.dir, state.LogFile), watchLog)
		}
		info, err := f.Stat()
		if err != nil {
			return false, failure("reading the log", err)
		}
		l.limit = info.Size()
		if l.begun && l.offset > l.limit {
			return false, &atom.FieldError{Field: "cursor", Reason: "lies beyond the log's end"}
		}
	}
	if !l.begun {
		if err := l.begin(); err != nil {
			return false, err
		}
		l.begun = true
	}
	return true, nil
}

// chunk returns the next chunk that the request asks for; an empty one at
// the end of what is written.
func (l *logSource) chunk(buf []byte) (atom.LogChunk, error) {
	var chunk atom.LogChunk
	since := sinceOf(l.request.Since)
	for {
		if l.request.NoFollow && l.offset >= l.limit {
			return chunk, nil
		}
		h, data, ok, err := l.recordAt(l.offset)
		if err != nil {
			if len(chunk.Data) > 0 {
				return chunk, nil // what is whole first
			}
			return chunk, err
		}
		if !ok {
			return chunk, nil
		}
		stream := atom.Stream(h.Stream)
		data = l.skip.rest(stream, l.offset, data)
		if h.Time < since || l.request.Stream != "" && l.request.Stream != stream || len(data) == 0 {
			l.offset += h.Size()
			if len(chunk.Data) > 0 {
				chunk.Cursor = cursorAt(l.offset)
			}
			if l.ctx.Err() != nil {
				return chunk, l.ctx.Err()
			}
			continue
		}
		if len(chunk.Data) > 0 && (!l.coalesce || stream != chunk.Stream || len(chunk.Data)+len(data) > maxChunk) {
			return chunk, nil
		}
		if chunk.Data == nil {
			room := len(data)
			if l.coalesce {
				// Most often all that is in the window follows.
				room = max(room, min(maxChunk, l.ahead(l.offset)))
			}
			if cap(buf) < room {
				buf = make([]byte, 0, room)
			}
			chunk.Stream, chunk.Time, chunk.Data = stream, h.At(), buf[:0]
		}
		chunk.Data = append(chunk.Data, data...)
		l.offset += h.Size()
		chunk.Cursor = cursorAt(l.offset)
	}
}

// sinceOf is a time as records have it; those before 1678 and after 2262 are
// the ends of what they can have.
func sinceOf(t time.Time) int64 {
	if t.IsZero() || t.Before(time.Unix(0, -1<<63)) {
		return -1 << 63
	}
	if t.After(time.Unix(0, 1<<63-1)) {
		return 1<<63 - 1
	}
	return t.UnixNano()
}

// more returns when there may be more to read, and an error when there will
// not: io.EOF where all has been delivered.
func (l *logSource) more() error {
	if l.ended != nil {
		return l.end()
	}
	if l.request.NoFollow && l.file == nil {
		// A log that is not there has nothing written so far.
		v, err := l.engine.store.find(l.view.meta.Owner, l.view.meta.ID)
		if err != nil {
			return err
		}
		if l.ended = v.exit; l.ended != nil {
			return nil
		}
		return io.EOF
	}
	if !l.told {
		l.told = true
		l.life.add(l.view.dir, watchLife)
		return nil // look once more, now that changes are told
	}
	if !l.seen {
		l.seen = true
		v, err := l.engine.store.find(l.view.meta.Owner, l.view.meta.ID)
		switch {
		case errdefs.IsNotFound(err):
			return atom.Errorf(errdefs.ErrNotFound, "the atom was deleted while its output was read")
		case err != nil:
			return err
		case v.exit != nil:
			l.ended = v.exit // the log is final: read it to its end
			return nil
		}
	}
	if l.request.NoFollow {
		return io.EOF
	}
	select {
	case <-l.growth.C:
		return nil
	case <-l.life.C:
		l.seen = false
		return nil
	case <-l.ctx.Done():
		return l.ctx.Err()
	case <-l.engine.closed:
		return closedError()
	}
}

// end is what a log of an atom that has ended ends with.
func (l *logSource) end() error {
	switch {
	case l.ended.LogError != "":
		return atom.Errorf(errdefs.ErrDataLoss, "the log is not whole: %s", l.ended.LogError)
	case l.request.NoFollow && l.view.exit == nil:
		return io.EOF // it ended since; what it had written when asked is delivered
	case l.file == nil && l.ended.LogBytes == 0:
		return io.EOF // it never started
	case l.offset != l.ended.LogBytes:
		return atom.Errorf(errdefs.ErrDataLoss, "the log is not whole: it ends at %d of %d bytes", l.offset, l.ended.LogBytes)
	}
	return io.EOF
}
