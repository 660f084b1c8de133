package spool

import (
	"bytes"
	"context"
	"io"
	"strconv"
	"sync"

	"github.com/containerd/errdefs"

	"github.com/atom-router/atom-router/atom"
)

// Read returns the output as r asks for it; ID and Owner are the caller's
// affair. What makes no sense in r is a *atom.FieldError.
func (s *Spool) Read(r *atom.EngineLogsRequest) (*atom.LogReader, error) {
	switch {
	case r.Stream != "" && r.Stream != atom.Stdout && r.Stream != atom.Stderr:
		return nil, &atom.FieldError{Field: "stream", Reason: strconv.Quote(string(r.Stream)) + " is neither stdout nor stderr"}
	case r.Tail < atom.TailNone:
		return nil, &atom.FieldError{Field: "tail", Reason: strconv.Itoa(r.Tail) + " is no number of lines"}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	end := s.first + len(s.entries)
	src := &source{spool: s, next: s.first, end: -1, request: *r, closed: make(chan struct{}), ctx: atom.ContextOr(r.Context)}
	if r.NoFollow {
		src.end = end
	}
	switch {
	case r.Cursor != "":
		n, err := strconv.Atoi(r.Cursor)
		if err != nil || n < 1 || n > end {
			return nil, &atom.FieldError{Field: "cursor", Reason: strconv.Quote(r.Cursor) + " is not of this atom"}
		}
		src.next = n
	case r.Tail == atom.TailNone:
		src.next = end
	case r.Tail > 0:
		src.line = s.tail(src, r.Tail)
	}
	return atom.NewLogReader(src, r.Timestamps), nil
}

// tail is the number of the line with which the last n begin, of those that
// src wants; 0 where there are no more than n. Called with mu held.
func (s *Spool) tail(src *source, n int) int {
	for i := len(s.entries) - 1; i >= 0; i-- {
		if e := s.entries[i]; e.begins && src.wants(e) {
			if n--; n == 0 {
				return e.line.number
			}
		}
	}
	return 0
}

// source is the atom.LogSource over a Spool.
type source struct {
	spool     *Spool
	next, end int // numbers of entries; end -1: that of the job
	request   atom.EngineLogsRequest
	line      int // the line to begin with
	ctx       context.Context

	once   sync.Once
	closed chan struct{}
}

func (c *source) wants(e entry) bool {
	r := &c.request
	return (r.Stream == "" || r.Stream == e.stream) && (r.Since.IsZero() || !e.line.time.Before(r.Since)) && e.line.number >= c.line
}

// Next implements atom.LogSource.
func (c *source) Next() (atom.LogChunk, error) {
	for {
		if err := c.over(); err != nil {
			return atom.LogChunk{}, err
		}
		chunk, changed, err := c.take()
		if err != nil || changed == nil {
			return chunk, err
		}
		select {
		case <-changed:
		case <-c.closed:
		case <-c.ctx.Done():
		}
	}
}

func (c *source) over() error {
	select {
	case <-c.closed:
		return atom.ErrLogsClosed
	default:
		return c.ctx.Err()
	}
}

// take returns the next chunk; or, where there is none yet, what tells of more.
func (c *source) take() (atom.LogChunk, <-chan struct{}, error) {
	s := c.spool
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.next < s.first {
		return atom.LogChunk{}, nil, atom.Errorf(errdefs.ErrDataLoss, "the engine keeps the last %d bytes of a log, and has dropped what comes next here", s.limit)
	}
	end := s.first + len(s.entries)
	if c.end >= 0 {
		end = c.end
	}
	for c.next < end {
		e := s.entries[c.next-s.first]
		c.next++
		if c.wants(e) {
			return atom.LogChunk{Stream: e.stream, Time: e.line.time, Data: bytes.Clone(e.data), Cursor: strconv.Itoa(c.next)}, nil, nil
		}
	}
	if s.ended || c.end >= 0 {
		return atom.LogChunk{}, nil, io.EOF
	}
	return atom.LogChunk{}, s.wait(), nil
}

// Close implements atom.LogSource.
func (c *source) Close() error {
	c.once.Do(func() { close(c.closed) })
	return nil
}
