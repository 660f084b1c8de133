package router

import (
	"errors"
	"io"
	"sync"
	"sync/atomic"

	"github.com/atom-router/atom-router/atom"
)

// prefixed is the LogSource of a backend's logs with the router's prefix on
// its errors. Chunks pass through untouched.
type prefixed struct {
	logs        atom.LogLender
	backend, id string
	release     func() // the backend
	stop        func() bool
	ended       Ended
	observer    Observer // or nil
	closing     atomic.Bool
	finished    sync.Once
}

// finish lets go of the backend and tells how the stream ended; nil is for
// its end, and for a reader that wants no more. It may be called more than
// once.
func (p *prefixed) finish(err error) {
	p.finished.Do(func() {
		p.release()
		if p.closing.Load() {
			err = nil // whatever the Close made of a Next under way
		}
		p.ended(p.backend, p.id, err)
	})
}

func (p *prefixed) Next() (atom.LogChunk, error) { return p.took(p.logs.Next()) }

func (p *prefixed) Lend() (atom.LogChunk, error) { return p.took(p.logs.Lend()) }

// took passes on what the backend gave.
func (p *prefixed) took(chunk atom.LogChunk, err error) (atom.LogChunk, error) {
	switch {
	case err == nil:
		if p.observer != nil {
			p.observer.LogBytes(p.backend, len(chunk.Data))
		}
		return chunk, nil
	case errors.Is(err, io.EOF):
		p.stop()
		p.finish(nil)
		return chunk, err
	}
	err = opError("logs", p.backend, p.id, err)
	p.stop()
	p.finish(err)
	return chunk, err
}

func (p *prefixed) Close() error {
	p.stop()
	p.closing.Store(true)
	err := p.logs.Close()
	p.finish(nil)
	return err
}

// plainSource makes chunks of a reader that has only bytes: one of an engine
// in this process that knows nothing of LogReader.
type plainSource struct{ r io.ReadCloser }

func (s plainSource) Next() (atom.LogChunk, error) {
	buf := make([]byte, 32<<10)
	for {
		n, err := s.r.Read(buf)
		if n > 0 {
			// A read error comes again with the next Read.
			return atom.LogChunk{Data: buf[:n]}, nil
		}
		if err != nil {
			return atom.LogChunk{}, err
		}
	}
}

func (s plainSource) Close() error { return s.r.Close() }

// readerOf gives an engine's logs in chunks.
func readerOf(logs io.ReadCloser) *atom.LogReader {
	if r, ok := logs.(*atom.LogReader); ok {
		return r
	}
	// Its text has the timestamps already, where they were asked for; the
	// chunks have none.
	return atom.NewLogReader(plainSource{logs}, false)
}
