package kube

import (
	"context"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/containerd/errdefs"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

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
	found, err := e.find(s.ctx, r.ID, r.Owner, r.NoFollow)
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

func (s *logSource) tryOpen(now *record) error {
	if s.tail != 0 {
		if err := s.tryTail(now); err != nil {
			return err
		}
	}
	s.final = now.over
	follow := !s.final && !s.noFollow
	ctx, cancel := context.WithCancel(s.ctx)
	body, err := s.ask(ctx, now, follow, s.pos)
	if err != nil {
		cancel()
		return err
	}
	s.lines, s.fresh, s.kept = newLines(body), false, nil
	s.search = nil
	if s.pos.at != 0 {
		s.search = &search{to: s.pos}
	}
	s.seeking.Store(s.search != nil)
	s.heard.Store(time.Now().UnixNano())
	s.drop = func() {
		cancel()
		body.Close()
	}
	if follow {
		s.e.work.Go(func() { s.guard(ctx, cancel) }) // ends with ctx, which the pass ends
	}
	return nil
}

// ask requests the log from some time before a position on.
func (s *logSource) ask(ctx context.Context, now *record, follow bool, from position) (io.ReadCloser, error) {
	o := corev1.PodLogOptions{Container: containerName, Follow: follow, Timestamps: true}
	at := s.since
	if from.at != 0 {
		at = from.at - disorder
	}
	if at > 0 {
		// Whole seconds, rounded down, are all that the API takes.
		since := metav1.NewTime(time.Unix(at/1e9, 0).UTC())
		o.SinceTime = &since
	}
	body, err := s.e.api.logs(ctx, now.name, o)
	if err == nil {
		return body, nil
	}
	err = s.e.api.fault(ctx, err)
	switch {
	case s.ctx.Err() != nil:
		return nil, endOf(s.ctx)
	case errdefs.IsInvalidArgument(err) && strings.Contains(err.Error(), "waiting to start"),
		errdefs.IsNotFound(err), errdefs.IsInternal(err):
		// It has not started, after all; or its kubelet does not know it
		// yet, or any more. If the pod is gone, we are told.
		if _, live := s.e.find(ctx, now.info.ID, now.owner, true); isNotFound(live) {
			return nil, atom.Errorf(errdefs.ErrNotFound, "the atom was deleted while its log was read")
		}
		return nil, atom.Errorf(errdefs.ErrUnavailable, "%w", err)
	}
	return nil, err
}

// guard ends a follow that does not end by itself: one that is silent after
// the job's end, that does not find its position, or that the log has left
// behind, as follows do now and then (kubernetes/kubernetes#115701).
func (s *logSource) guard(ctx context.Context, cancel context.CancelFunc) {
	now, _ := s.ticket.now()
	t := s.e.watch.pods.join(now)
	defer t.leave()
	tick := time.NewTicker(hangGrace)
	defer tick.Stop()
	began := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.look:
			continue // the next tick looks
		case <-tick.C:
		}
		silent := time.Since(time.Unix(0, s.heard.Load()))
		now, gone := t.now()
		switch {
		case (now.over || gone) && silent >= hangGrace:
		case s.seeking.Load() && time.Since(began) >= searchTime:
		case silent >= quietTime && s.behind(ctx, now):
			s.e.log.Warn("a followed log fell silent and is taken up again", "pod", now.name)
		default:
			continue
		}
		cancel()
		return
	}
}

// behind reports whether the log holds lines younger than the last one that
// the follow gave.
func (s *logSource) behind(ctx context.Context, now *record) bool {
	s.heard.Store(time.Now().UnixNano()) // look again after another quietTime
	last := s.reached.Load()
	body, err := s.ask(ctx, now, false, position{at: max(last, 1)})
	if err != nil {
		return false
	}
	defer body.Close()
	for l := newLines(body); ; {
		p, err := l.next()
		if err != nil {
			return false
		}
		if p.begins && p.at > last+disorder {
			return true
		}
	}
}

// read gives the next chunk of the pass in progress.
func (s *logSource) read(buf []byte) (atom.LogChunk, error) {
	if s.kept != nil {
		return atom.LogChunk{}, s.kept
	}
	var chunk atom.LogChunk
	for {
		if chunk.Data != nil && (s.split || !s.lines.ready() || len(chunk.Data) >= chunkBytes) {
			chunk.Cursor = s.pos.cursor()
			return chunk, nil
		}
		p, err := s.lines.next()
		var data []byte
		if err == nil {
			s.heard.Store(time.Now().UnixNano())
			data, err = s.pass(p)
		}
		if err != nil {
			if chunk.Data != nil {
				s.kept = err // the next call gives it
				chunk.Cursor = s.pos.cursor()
				return chunk, nil
			}
			return atom.LogChunk{}, err
		}
		if len(data) == 0 {
			continue
		}
		s.shown = max(s.shown, p.at)
		at := time.Unix(0, s.shown).UTC()
		switch {
		case chunk.Data == nil:
			if cap(buf) < len(data) {
				buf = make([]byte, 0, max(len(data), 512))
			}
			chunk = atom.LogChunk{Time: at, Data: buf[:0]}
		case !chunk.Time.Equal(at):
			chunk.Time = time.Time{} // there is no one time of all its lines
		}
		chunk.Data = append(chunk.Data, data...)
	}
}

// pass moves the position over a piece and returns what of it the reader is to
// have.
func (s *logSource) pass(p piece) ([]byte, error) {
	if p.at == unstamped {
		return nil, nil // of a line that is older than what was asked for
	}
	if s.search != nil {
		rest, found := s.search.pass(p)
		switch {
		case found:
			s.search, s.missed = nil, 0
			s.seeking.Store(false)
		case p.at > s.pos.at+disorder:
			return nil, errRotated
		}
		if len(rest) == 0 {
			return nil, nil
		}
		p = piece{at: p.at, data: rest}
	}
	mute := s.pos.mute && !p.begins
	s.pos.move(p)
	s.pos.mute = mute && s.pos.open
	s.fresh, s.tries = true, 0
	s.reached.Store(p.at)
	if mute || p.at < s.since {
		return nil, nil
	}
	return p.data, nil
}

var errRotated = atom.Errorf(errdefs.ErrDataLoss, "the log does not hold any more what was read last: it was rotated away, so output may be missing")

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
