package spool

import (
	"bytes"
	"io"
	"sync"
	"time"

	"github.com/atom-router/atom-router/atom"
)

const (
	// DefaultLimit is how many bytes a Spool keeps that was told nothing else.
	DefaultLimit = 64 << 20
	// pieceBytes is the most that one entry holds: long lines come in several.
	pieceBytes = 16 << 10
	// entryCost is about what an entry takes in memory beside its data.
	entryCost = 96
)

// Spool is the output of one job. All methods may be called from any number
// of goroutines.
type Spool struct {
	limit int

	mu      sync.Mutex
	entries []entry // from number first on
	first   int     // how many were dropped
	size    int     // of entries, with what they cost
	lines   int     // how many have begun
	open    map[atom.Stream]*line
	ended   bool
	changed chan struct{} // closed when something is added; nil while nobody waits
}

// entry is a line with its newline, or a piece of a long or unfinished one.
type entry struct {
	stream atom.Stream
	line   *line
	begins bool // the line begins here
	data   []byte
}

// line is where entries belong. Lines count in the order in which they began.
type line struct {
	number int
	time   time.Time
}

// New returns an empty spool that keeps the last limit bytes or so, at least
// one line's piece; 0 is DefaultLimit. A reader who was not fast enough for
// what is dropped gets DataLoss, one who comes later begins with what is left.
func New(limit int) *Spool {
	if limit <= 0 {
		limit = DefaultLimit
	}
	return &Spool{limit: limit, open: make(map[atom.Stream]*line, 2)}
}

// Writer takes what the job writes to stream. It takes all, always, and does
// not wait for readers. What is written after End is lost.
func (s *Spool) Writer(stream atom.Stream) io.Writer { return writer{s, stream} }

type writer struct {
	spool  *Spool
	stream atom.Stream
}

func (w writer) Write(data []byte) (int, error) {
	w.spool.write(w.stream, data)
	return len(data), nil
}

func (s *Spool) write(stream atom.Stream, data []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended || len(data) == 0 {
		return
	}
	for text := range bytes.Lines(bytes.Clone(data)) {
		for len(text) > 0 {
			n := min(len(text), pieceBytes)
			s.add(stream, text[:n:n])
			text = text[n:]
		}
	}
	s.tell()
}

// add adds a piece of a line. Called with mu held.
func (s *Spool) add(stream atom.Stream, piece []byte) {
	l := s.open[stream]
	begins := l == nil
	if begins {
		s.lines++
		l = &line{number: s.lines, time: time.Now()}
		s.open[stream] = l
	}
	if piece[len(piece)-1] == '\n' {
		s.open[stream] = nil
	}
	s.entries = append(s.entries, entry{stream, l, begins, piece})
	s.size += len(piece) + entryCost
	drop := 0
	for s.size > s.limit && drop < len(s.entries)-1 {
		s.size -= len(s.entries[drop].data) + entryCost
		s.entries[drop] = entry{} // its memory is free before the array is copied
		drop++
	}
	s.entries, s.first = s.entries[drop:], s.first+drop
}

// End says that there will be no more: readers get to the end, and io.EOF.
// Idempotent.
func (s *Spool) End() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	s.tell()
}

// tell wakes those who wait. Called with mu held.
func (s *Spool) tell() {
	if s.changed != nil {
		close(s.changed)
		s.changed = nil
	}
}

// wait returns a channel that is closed at the next change. Called with mu
// held.
func (s *Spool) wait() <-chan struct{} {
	if s.changed == nil {
		s.changed = make(chan struct{})
	}
	return s.changed
}
