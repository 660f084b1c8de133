package router

import (
	"errors"
	"io"

	"github.com/atom-router/atom-router/atom"
)

// prefixed is the LogSource of a backend's logs with the router's prefix on
// its errors. Chunks pass through untouched.
type prefixed struct {
	logs        atom.LogSource
	backend, id string
	release     func() // the backend
}

func (p *prefixed) Next() (atom.LogChunk, error) {
	chunk, err := p.logs.Next()
	if err != nil {
		p.release()
	}
	if err != nil && !errors.Is(err, io.EOF) {
		err = opError("logs", p.backend, p.id, err)
	}
	return chunk, err
}

func (p *prefixed) Close() error {
	defer p.release()
	return p.logs.Close()
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
