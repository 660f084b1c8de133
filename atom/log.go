package atom

import (
	"bytes"
	"errors"
	"io"
	"sync"
	"time"
)

// Stream names one of a job's two outputs.
type Stream string

const (
	// Stdout and Stderr are the job's file descriptors 1 and 2.
	Stdout Stream = "stdout"
	Stderr Stream = "stderr"
)

// LogChunk is a piece of a job's output.
type LogChunk struct {
	// Stream is where it was written; "" where the backend does not know.
	Stream Stream
	// Time is when the backend recorded it; where the chunk holds several
	// lines, of all of them. Zero means unknown, and no timestamp is
	// printed.
	Time time.Time
	// Data is never empty. It belongs to the receiver, but where it is lent
	// (see LogLender).
	Data []byte
	// Cursor resumes after this chunk (EngineLogsRequest.Cursor). It is
	// opaque; "" cannot be resumed after.
	Cursor string
}

// LogSource yields an atom's output piece by piece. Engines implement it and
// return it from Logs inside a LogReader.
type LogSource interface {
	// Next blocks for the next chunk; io.EOF is the end of a complete
	// output. It is called by one goroutine at a time, and not again after
	// an error.
	Next() (LogChunk, error)
	// Close ends a blocked Next at once. It may be called at any time, from
	// any goroutine, more than once.
	Close() error
}

// LogLender is a LogSource that makes less garbage for those who copy what they
// get at once: Read, CopyLogs and the way between processes. Sources need not
// have it. One that embeds another LogLender to change what it gives has to
// change both methods.
type LogLender interface {
	LogSource
	// Lend is Next, but that the chunk's Data stays the source's: it holds
	// until the next call of either.
	Lend() (LogChunk, error)
}

// LogReader is the io.ReadCloser that Engine.Logs returns. Read gives plain
// bytes, with timestamps where they were asked for; Next gives chunks, which
// know their stream and where to resume. Use one or the other. Close may be
// called from any goroutine and ends a blocked Read or Next at once.
type LogReader struct {
	src   LogSource
	stamp *stamper
	rest  []byte
	err   error

	closeOnce sync.Once
	closeErr  error
	closed    chan struct{}
}

// NewLogReader returns a reader of what src yields. Where timestamps are
// asked for, Read writes each chunk's Time before each line; sources leave
// Data plain.
func NewLogReader(src LogSource, timestamps bool) *LogReader {
	r := &LogReader{src: src, closed: make(chan struct{})}
	if timestamps {
		r.stamp = &stamper{}
	}
	return r
}

// ErrLogsClosed is what a LogReader gives after Close.
var ErrLogsClosed = errors.New("logs: reader is closed")

// Next returns the next chunk, its Data without timestamps.
func (r *LogReader) Next() (LogChunk, error) { return r.next(r.src.Next) }

// Borrow is r.Next for those who have done with the chunk's Data before they ask
// for the next one: the source may overwrite it then. It is no method, for
// sources that embed a LogReader, to change what its Next gives, not to get it.
func Borrow(r *LogReader) (LogChunk, error) {
	if l, ok := r.src.(LogLender); ok {
		return r.next(l.Lend)
	}
	return r.Next()
}

func (r *LogReader) next(from func() (LogChunk, error)) (LogChunk, error) {
	if err := r.end(); err != nil {
		return LogChunk{}, err
	}
	chunk, err := from()
	if err == nil {
		return chunk, nil
	}
	if closed := r.end(); closed != nil {
		return LogChunk{}, closed
	}
	r.err = err
	return LogChunk{}, err
}

// end is why there is no more: the source's error, or that of Close.
func (r *LogReader) end() error {
	if r.err == nil {
		select {
		case <-r.closed:
			r.err = ErrLogsClosed
		default:
		}
	}
	return r.err
}

// Read implements io.Reader.
func (r *LogReader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	select {
	case <-r.closed: // also what was fetched before is given up
		r.rest = nil
	default:
	}
	for len(r.rest) == 0 {
		chunk, err := Borrow(r)
		if err != nil {
			return 0, err
		}
		r.rest = r.text(chunk)
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// text is what a chunk reads as, until the next one.
func (r *LogReader) text(chunk LogChunk) []byte {
	if r.stamp == nil {
		return chunk.Data
	}
	return r.stamp.text(chunk)
}

// Close ends the stream. It is idempotent.
func (r *LogReader) Close() error {
	r.closeOnce.Do(func() {
		close(r.closed)
		r.closeErr = r.src.Close()
	})
	return r.closeErr
}

// CopyLogs copies a log stream to its end, each chunk to the writer of its
// stream and those of an unknown stream to stdout. It returns nil at the
// stream's clean end. It does not close logs.
func CopyLogs(stdout, stderr io.Writer, logs io.Reader) error {
	r, ok := logs.(*LogReader)
	if !ok {
		_, err := io.Copy(stdout, logs)
		return err
	}
	for {
		chunk, err := Borrow(r)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		w := stdout
		if chunk.Stream == Stderr {
			w = stderr
		}
		if _, err := w.Write(r.text(chunk)); err != nil {
			return err
		}
	}
}

// stamper puts timestamps before lines. It keeps for each stream whether its
// last chunk ended a line, since the streams' chunks interleave.
type stamper struct {
	midLine map[Stream]bool
	out     []byte
}

func (s *stamper) text(c LogChunk) []byte {
	if len(c.Data) == 0 || c.Time.IsZero() {
		return c.Data
	}
	if s.midLine == nil {
		s.midLine = make(map[Stream]bool, 2)
	}
	prefix := c.Time.UTC().AppendFormat(make([]byte, 0, len(TimestampLayout)), TimestampLayout)
	prefix = append(prefix, ' ')
	out := s.out[:0]
	for line := range bytes.Lines(c.Data) {
		if !s.midLine[c.Stream] {
			out = append(out, prefix...)
		}
		out = append(out, line...)
		s.midLine[c.Stream] = line[len(line)-1] != '\n'
	}
	if cap(out) <= stampedBytes {
		s.out = out
	}
	return out
}

// stampedBytes is how large a buffer a stamper keeps.
const stampedBytes = 256 << 10

// TimestampLayout is how Timestamps are written: RFC 3339 with all nine
// digits, so that they stand in a column and sort as text.
const TimestampLayout = "2006-01-02T15:04:05.000000000Z07:00"
