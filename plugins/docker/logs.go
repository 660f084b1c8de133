package docker

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"

	"github.com/atom-router/atom-router/atom"
)

const (
	// chunkBytes is how much of one stream a chunk gathers of what has
	// arrived already.
	chunkBytes = 32 << 10
	// hangGrace is how long a follow may stay silent after the container's
	// end before it is taken for stuck.
	hangGrace = 5 * time.Second
	// retraceAttempts is how often a log that ends before the position to
	// resume at is asked for again.
	retraceAttempts = 5
)

// Logs returns the job's output. The reader holds one connection and at most
// a few hundred KiB, however slowly it is read. A break of the connection,
// the daemon's restart included, is bridged without losing or repeating a
// byte; where the log does not hold any more what was read before, Read
// reports DataLoss.
func (e *Engine) Logs(r *atom.EngineLogsRequest) (io.ReadCloser, error) {
	ctx := atom.ContextOr(r.Context)
	s := &logSource{e: e, id: r.ID, noFollow: r.NoFollow, split: r.Timestamps}
	switch r.Stream {
	case "":
		s.show = [3]bool{1: true, 2: true}
	case atom.Stdout:
		s.show[1] = true
	case atom.Stderr:
		s.show[2] = true
	default:
		return nil, &atom.FieldError{Field: "stream", Reason: strconv.Quote(string(r.Stream)) + " is neither stdout nor stderr"}
	}
	if r.Tail < atom.TailNone {
		return nil, &atom.FieldError{Field: "tail", Reason: strconv.Itoa(r.Tail) + " is no number of lines"}
	}
	base := int64(0)
	if !r.Since.IsZero() && r.Since.Unix() > 0 {
		s.since = r.Since.UnixNano()
		base = max(0, (r.Since.Unix()-1)*1e9) // a second more than needed: the daemon may round
	}
	s.resume(resumption{from: base})
	if r.Cursor != "" {
		to, err := parseCursor(r.Cursor)
		if err != nil {
			return nil, err
		}
		s.resume(to)
	} else {
		s.tail = r.Tail
	}
	c, err := e.find(ctx, r.ID, r.Owner)
	if err != nil {
		return nil, err
	}
	s.ctx, s.cancel = e.bound(ctx)
	if infoOf(c).State != atom.Created {
		// Where a Tail begins is decided now, not when somebody reads.
		if err := s.tryOpen(); err != nil && !errors.Is(err, io.EOF) {
			s.cancel()
			return nil, err
		}
	}
	return atom.NewLogReader(s, r.Timestamps), nil
}

// logSource is an atom.LogSource over as many of the daemon's log streams as
// it takes.
type logSource struct {
	e        *Engine
	id       string
	ctx      context.Context
	cancel   context.CancelFunc
	since    int64 // nanoseconds; 0 is all
	noFollow bool
	split    bool // one record a chunk, for their times
	show     [3]bool
	tail     int   // lines asked for, until they are located
	skip     int64 // lines still to be left out for tail

	pos     position
	back    *retrace // while passing over again what was passed before
	recent  recent
	long    bool  // there are lines in pieces
	fresh   int64 // records of this pass that were new
	missed  int   // passes in a row that did not get back to the position
	backoff time.Duration

	frames *frames // of the pass in progress; nil between passes
	drop   func()  // ends it
	final  bool    // it began when the container had stopped
	polls  *polls  // instead of a follow; nil where that can be trusted
	lent   []byte  // the last chunk's data, to be overwritten
}

// Close implements atom.LogSource. The transport closes the connection of a
// call whose context ended.
func (s *logSource) Close() error {
	s.cancel()
	return nil
}

// Next implements atom.LogSource.
func (s *logSource) Next() (atom.LogChunk, error) { return s.next(nil) }

// Lend implements atom.LogLender.
func (s *logSource) Lend() (atom.LogChunk, error) {
	chunk, err := s.next(s.lent)
	s.lent = chunk.Data
	return chunk, err
}

// next is Next; the chunk's data is put into buf, where it fits.
func (s *logSource) next(buf []byte) (atom.LogChunk, error) {
	for {
		err := s.open()
		if err == nil {
			var chunk atom.LogChunk
			if chunk, err = s.read(buf); err == nil {
				return chunk, nil
			}
			s.drop()
			if s.ctx.Err() == nil {
				err = s.after(err)
			}
			s.frames = nil
		}
		if s.ctx.Err() != nil {
			err = endOf(s.ctx)
		}
		if err != nil {
			s.cancel()
			return atom.LogChunk{}, err
		}
	}
}

// resume sets the source to a position that is to be reached again.
func (s *logSource) resume(to resumption) {
	s.pos = startAt(to.from)
	s.pos.mute = to.mute
	if to.records > 0 {
		s.pos.whole = to.whole
	}
	s.back = nil
	if to.records > 0 {
		s.back = &retrace{to: to}
	}
	s.recent = recent{}
	s.fresh = 0
}

// open begins a pass over the log where none is in progress. It waits for the
// container to start and for a daemon that is away. io.EOF says that there is
// nothing to read.
func (s *logSource) open() error {
	if s.frames != nil {
		return nil
	}
	switch {
	case s.back != nil: // the pass before did not get back to it
		s.resume(s.back.to)
	case s.pos.total > 0:
		s.resume(s.pos.resumption())
	}
	wait := backoffMin
	for {
		err := s.tryOpen()
		if err == nil || !errdefs.IsUnavailable(err) || s.ctx.Err() != nil {
			return err
		}
		if err := pause(s.ctx, wait/2+rand.N(wait)); err != nil {
			return err
		}
		wait = min(2*wait, backoffMax)
	}
}

// after decides what the end of a pass means: io.EOF if all was delivered,
// nil to begin another, or what ends the reader.
func (s *logSource) after(err error) error {
	if errors.Is(err, errLong) {
		s.long = true
		return nil
	}
	clean := errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF)
	var fault *logFault
	if !clean && !errors.Is(err, context.Canceled) && !isConnectionError(err) && !(errors.As(err, &fault) && s.fresh > 0) {
		return err
	}
	if clean && s.polls.owe() {
		return pause(s.ctx, pollMin)
	}
	if clean && s.back != nil {
		if s.missed++; s.missed >= retraceAttempts || s.noFollow {
			return errRotated
		}
	}
	if clean && s.noFollow {
		return io.EOF
	}
	if clean && s.back == nil && s.ended() && (s.final && (s.fresh == 0 || !s.frames.timed) || s.complete()) {
		return io.EOF
	}
	if s.fresh > 0 {
		s.backoff = 0
		if s.polls != nil {
			return pause(s.ctx, pollMin)
		}
		return nil
	}
	longest := backoffMax
	if s.polls != nil {
		longest = pollMax
	}
	s.backoff = min(max(2*s.backoff, 20*time.Millisecond), longest)
	return pause(s.ctx, s.backoff)
}

// ended reports whether the container's process is known to have ended, which
// means that the daemon has closed the log.
func (s *logSource) ended() bool {
	if s.final {
		return true
	}
	c, err := s.e.inspect(s.ctx, s.id)
	return err == nil && infoOf(c).State != atom.Running
}

// awaitStart returns a container that has started, or never will.
func (e *Engine) awaitStart(ctx context.Context, id string) (container.InspectResponse, error) {
	t := e.watch.join(id)
	defer t.leave()
	for {
		c, err := e.inspect(ctx, id)
		if err != nil || infoOf(c).State != atom.Created {
			return c, err
		}
		timer := time.NewTimer(lookAgain)
		select {
		case <-t.look:
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}
