package kube

import (
	"context"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/containerd/errdefs"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/internal/backoff"
)

const (
	// chunkBytes is how much a chunk gathers of what has arrived already.
	chunkBytes = 31 << 10
	// disorder is how far lines may be out of the order of their times: the
	// runtime copies stdout and stderr side by side.
	disorder = int64(5 * time.Second)
	// hangGrace is how long a follow may stay silent after the job's end
	// before it is taken for stuck.
	hangGrace = 5 * time.Second
	// searchTime is how long a follow may take to come to the position that
	// it resumes at.
	searchTime = 15 * time.Second
	// quietTime is how long a follow may be silent before it is compared
	// with the log.
	quietTime = time.Minute
	// endLag is how long the news of a job's end may take to arrive after
	// its log has ended.
	endLag = 3 * time.Second
	// lineLag is for how long a log that ends within a line is left alone
	// before it is looked at again.
	lineLag = 100 * time.Millisecond
	// attempts bounds how often a log that is not followed is asked for
	// again.
	attempts = 5
)

// Logs returns the job's output, stdout and stderr in one, as Kubernetes keeps
// them. The reader holds one connection and a few hundred KiB, however slowly
// it is read. Breaks of the connection, restarts of kubelet and API server
// included, are bridged without losing or repeating a byte. The API serves
// only the newest of the files that a kubelet rotates: where that does not
// hold any more what was read last, Read reports DataLoss.
func (e *Engine) Logs(r *atom.EngineLogsRequest) (io.ReadCloser, error) {
	ctx := atom.ContextOr(r.Context)
	switch r.Stream {
	case "":
	case atom.Stdout, atom.Stderr:
		return nil, atom.Errorf(errdefs.ErrNotImplemented, "Kubernetes does not tell stdout and stderr apart")
	default:
		return nil, &atom.FieldError{Field: "stream", Reason: strconv.Quote(string(r.Stream)) + " is neither stdout nor stderr"}
	}
	if r.Tail < atom.TailNone {
		return nil, &atom.FieldError{Field: "tail", Reason: strconv.Itoa(r.Tail) + " is no number of lines"}
	}
	s := &logSource{e: e, noFollow: r.NoFollow, split: r.Timestamps, since: math.MinInt64}
	if !r.Since.IsZero() && r.Since.Unix() > 0 {
		s.since = r.Since.UnixNano()
	}
	if r.Cursor != "" {
		var err error
		if s.pos, err = parseCursor(r.Cursor); err != nil {
			return nil, err
		}
	} else {
		s.tail = r.Tail
	}
	s.ctx, s.cancel = e.bound(ctx)
	if !r.NoFollow {
		e.watch.start()
	}
	// Whether a Tail's place is decided now is decided by whether the job has
	// begun: another router may have shown that before our watch does.
	found, err := e.find(s.ctx, r.ID, r.Owner, r.NoFollow || s.tail != 0)
	if err != nil {
		s.cancel()
		return nil, err
	}
	s.ticket = e.watch.pods.join(found)
	if found.began && s.tail != 0 {
		// Where a Tail begins is decided now, not when somebody reads.
		if err := s.tryTail(found); err != nil && !errors.Is(err, io.EOF) {
			s.end()
			return nil, err
		}
	} else if gone := s.goneLog(found); gone != nil {
		s.end()
		return nil, gone
	}
	return atom.NewLogReader(s, r.Timestamps), nil
}

// logSource is an atom.LogSource over as many of the API server's log streams
// as it takes.
type logSource struct {
	e        *Engine
	ticket   *ticket
	ctx      context.Context
	cancel   context.CancelFunc
	since    int64 // nanoseconds
	noFollow bool
	split    bool // one line a chunk, for their times
	tail     int  // lines asked for, until they are located

	pos    position
	search *search // while looking for pos again
	shown  int64   // the latest time given away
	whole  bool    // the follow came to its end together with the job
	tries  int     // passes in a row that gave nothing new
	missed int     // passes in a row that did not find pos

	lines *lines // of the pass in progress; nil between passes
	drop  func() // ends it
	final bool   // it began when the job had ended
	fresh bool   // it gave something new
	kept  error  // what the pass said after what is being delivered
	lent  []byte // the last chunk's data, to be overwritten

	heard   atomic.Int64 // when the pass last gave a piece, Unix nanoseconds
	reached atomic.Int64 // time of the last line
	seeking atomic.Bool  // search is not nil
}

// Close implements atom.LogSource.
func (s *logSource) Close() error {
	s.end()
	return nil
}

func (s *logSource) end() {
	s.cancel()
	s.ticket.leave()
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
			s.lines = nil
			if s.ctx.Err() == nil {
				err = s.after(err)
			}
		}
		if s.ctx.Err() != nil {
			err = endOf(s.ctx)
		}
		if err != nil {
			s.end()
			return atom.LogChunk{}, err
		}
	}
}

// goneLog is the error of a log that Kubernetes has removed while the atom is
// still there; nil if it should be.
func (s *logSource) goneLog(now *record) error {
	if now.over && now.began && now.held && now.doomed {
		return atom.Errorf(errdefs.ErrNotFound, "Kubernetes removes the log of an atom that was stopped with force or with another grace than its own")
	}
	return nil
}

// open begins a pass over the log where none is in progress. It waits for the
// job to start. io.EOF says that there is nothing to read.
func (s *logSource) open() error {
	for s.lines == nil {
		now, gone := s.ticket.now()
		if !now.began && !now.over && !gone {
			if s.noFollow {
				return io.EOF
			}
			if err := s.awaitStart(now); err != nil {
				return err
			}
			continue
		}
		if now.over && !now.began {
			return io.EOF
		}
		if err := s.lost(now, gone); err != nil {
			if s.whole {
				return io.EOF
			}
			return err
		}
		err := s.tryOpen(now)
		if err == nil || s.ctx.Err() != nil || !errdefs.IsUnavailable(err) {
			return err
		}
		if err := s.again(err); err != nil {
			return err
		}
	}
	return nil
}

// lost says that there is no log any more.
func (s *logSource) lost(now *record, gone bool) error {
	if gone {
		return atom.Errorf(errdefs.ErrNotFound, "the atom was deleted while its log was read")
	}
	return s.goneLog(now)
}

// awaitStart returns when the job has started, or never will.
func (s *logSource) awaitStart(now *record) error {
	_, err := s.e.await(s.ctx, now, func(r *record) bool { return r.began || r.over })
	return err
}

// again pauses before the next pass, or says that there were enough of them.
func (s *logSource) again(err error) error {
	if s.tries++; s.noFollow && s.tries >= attempts {
		return err
	}
	if s.tries > 1 {
		s.e.log.Debug("the log is asked for again", "pod", s.ticket.uid, "why", err)
	}
	pause(s.ctx, backoff.Watch.After(s.tries, rand.Int64N))
	return nil
}

// after decides what the end of a pass means: io.EOF if all was delivered,
// nil to begin another, or what ends the reader.
func (s *logSource) after(err error) error {
	if errors.Is(err, errRotated) {
		return err
	}
	clean := errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF)
	if !clean {
		var f *foreign
		if errors.As(err, &f) && s.final && s.whole {
			return io.EOF // the kubelet has let go of the log, and all of it was read
		}
		return s.again(atom.Errorf(errdefs.ErrUnavailable, "reading the log: %w", err))
	}
	if s.search != nil {
		return s.notFound()
	}
	if s.final && s.pos.open && s.fresh {
		// The file may still be written, of whose last line the kubelet gives
		// what there is (k8s.io/cri-client, ReadLogs); or the API server's
		// connection with the kubelet broke, of which it says nothing
		// (k8s.io/apiserver, StreamObject).
		s.whole = true // as far as anybody could tell
		pause(s.ctx, lineLag)
		return nil
	}
	if s.final || s.noFollow {
		return io.EOF
	}
	// The follow ended. With the job, or for reasons of its own?
	ctx, cancel := context.WithTimeout(s.ctx, endLag)
	defer cancel()
	now, _ := s.ticket.now()
	if _, err := s.e.await(ctx, now, func(r *record) bool { return r.over }); err == nil {
		now, _ := s.ticket.now()
		s.whole = now.over
		return nil
	}
	if s.fresh {
		return nil
	}
	return s.again(io.ErrUnexpectedEOF)
}

// notFound says what it means that a pass came to the log's end without
// finding the position. A follow that ended with the job has given all there
// was; the log that the API serves may have been rotated since, and be empty
// of it. Else what lies between is lost.
func (s *logSource) notFound() error {
	if s.whole && s.search.cur.at <= s.pos.at {
		return io.EOF
	}
	if s.missed++; s.missed >= 2 || s.final || s.noFollow {
		return errRotated
	}
	return s.again(errRotated)
}
