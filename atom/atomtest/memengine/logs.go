package memengine

import (
	"bytes"
	"context"
	"io"
	"strconv"
	"sync"
	"time"

	"github.com/containerd/errdefs"

	"github.com/atom-router/atom-router/atom"
)

// frame is the most that one entry holds: long lines come in several, as they
// do from real backends.
const frame = 16 << 10

// entry is a line, or a piece of a long one.
type entry struct {
	stream atom.Stream
	line   *line
	data   []byte
}

// line is where an entry belongs.
type line struct {
	number int
	time   time.Time
}

// write records output; what comes after the end is lost.
func (r *record) write(stream atom.Stream, data []byte) {
	r.update(func() {
		if !r.info.State.Done() {
			r.writeLocked(stream, data)
		}
	})
}

func (r *record) writeLocked(stream atom.Stream, data []byte) {
	for text := range bytes.Lines(data) {
		for len(text) > 0 {
			piece := text[:min(len(text), frame)]
			text = text[len(piece):]
			l := r.midLine[stream]
			if l == nil {
				r.lines++
				l = &line{number: r.lines, time: time.Now()}
				r.midLine[stream] = l
			}
			r.log = append(r.log, entry{stream, l, bytes.Clone(piece)})
			if piece[len(piece)-1] == '\n' {
				r.midLine[stream] = nil
			}
		}
	}
}

// Logs implements atom.Engine.
func (e *Engine) Logs(q *atom.EngineLogsRequest) (io.ReadCloser, error) {
	r, err := e.find(q.Context, q.Owner, q.ID)
	if err != nil {
		return nil, err
	}
	s := &source{record: r, since: q.Since, stream: q.Stream, end: -1, closed: make(chan struct{}), ctx: atom.ContextOr(q.Context)}
	switch {
	case q.Stream != "" && q.Stream != atom.Stdout && q.Stream != atom.Stderr:
		return nil, &atom.FieldError{Field: "stream", Reason: strconv.Quote(string(q.Stream)) + " is neither stdout nor stderr"}
	case q.Stream != "" && !e.caps.Has(atom.CapLogStreams):
		return nil, atom.Errorf(errdefs.ErrNotImplemented, "the engine lacks %v", atom.CapLogStreams)
	case q.Tail < atom.TailNone:
		return nil, &atom.FieldError{Field: "tail", Reason: strconv.Itoa(q.Tail) + " is not a number of lines"}
	}
	s.known = e.caps.Has(atom.CapLogStreams)
	r.mu.Lock()
	defer r.mu.Unlock()
	if q.NoFollow {
		s.end = len(r.log)
	}
	switch {
	case q.Cursor != "":
		n, err := strconv.Atoi(q.Cursor)
		if err != nil || n < 0 || n > len(r.log) {
			return nil, &atom.FieldError{Field: "cursor", Reason: strconv.Quote(q.Cursor) + " is not of this atom"}
		}
		s.next = n
	case q.Tail == atom.TailNone:
		s.next = len(r.log)
	case q.Tail > 0:
		// Lines end in any order where two streams are open at once; they
		// count in the order in which they began.
		last := -1
		left := q.Tail
		for i := len(r.log) - 1; i >= 0; i-- {
			if l := r.log[i].line.number; s.wants(r.log[i]) && (last < 0 || l < last) {
				if left == 0 {
					break
				}
				left--
				last = l
			}
		}
		s.firstLine = max(last, 0)
	}
	return atom.NewLogReader(s, q.Timestamps), nil
}

// source is the LogSource over a record.
type source struct {
	record    *record
	next, end int // end -1: the atom's
	since     time.Time
	stream    atom.Stream
	firstLine int
	known     bool // streams are told apart
	ctx       context.Context

	once   sync.Once
	closed chan struct{}
}

func (s *source) wants(e entry) bool {
	return (s.stream == "" || s.stream == e.stream) && (s.since.IsZero() || !e.line.time.Before(s.since)) && e.line.number >= s.firstLine
}

func (s *source) Next() (atom.LogChunk, error) {
	for {
		select {
		case <-s.closed:
			return atom.LogChunk{}, atom.ErrLogsClosed
		default:
		}
		if err := s.ctx.Err(); err != nil {
			return atom.LogChunk{}, err
		}
		s.record.mu.Lock()
		log, done, gone, changed := s.record.log, s.record.info.State.Done(), s.record.gone, s.record.changed
		s.record.mu.Unlock()
		end := s.end
		if end < 0 {
			end = len(log)
		}
		for s.next < end {
			e := log[s.next]
			s.next++
			if !s.wants(e) {
				continue
			}
			c := atom.LogChunk{Stream: e.stream, Time: e.line.time, Data: bytes.Clone(e.data), Cursor: strconv.Itoa(s.next)}
			if !s.known {
				c.Stream = ""
			}
			return c, nil
		}
		switch {
		case s.end >= 0, done:
			return atom.LogChunk{}, io.EOF
		case gone:
			return atom.LogChunk{}, atom.Errorf(errdefs.ErrNotFound, "the atom was deleted")
		}
		select {
		case <-changed:
		case <-s.closed:
		case <-s.ctx.Done():
		}
	}
}

func (s *source) Close() error {
	s.once.Do(func() { close(s.closed) })
	return nil
}
