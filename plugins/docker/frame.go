package docker

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/containerd/errdefs"

	"github.com/atom-router/atom-router/atom"
)

// record is one entry of a container's log: a line, or at most 16 KiB of a
// long one, whose further pieces are records with the time of the first.
type record struct {
	at     int64 // Unix nanoseconds, or untimed
	stream int   // 1 stdout, 2 stderr, as in Docker's frames
	data   []byte
	// owed is set when data begins with the newline of the line before,
	// which the daemon left out.
	owed bool
}

// piece reports whether the record is a piece of a long line, and not its
// last.
func (r record) piece() bool { return len(r.data) == pieceBytes && !r.ends() }

// untimed stands for the time of records that were asked for without.
const untimed = 1

// ends reports whether the record is the last of its line.
func (r record) ends() bool { return len(r.data) > 0 && r.data[len(r.data)-1] == '\n' }

var streamNames = [3]atom.Stream{1: atom.Stdout, 2: atom.Stderr}

const (
	// pieceBytes is how much of a line the daemon records at a time.
	pieceBytes    = 16 << 10
	frameHeader   = 8
	frameBuffer   = 128 << 10
	frameError    = 3 // a frame that holds the daemon's error, not output
	maxFrameBytes = 64 << 20
)

// frames reads the records of a log stream in Docker's framing: 8 bytes of
// stream and size, then the text, before it a time and a blank where they
// were asked for.
type frames struct {
	r     *bufio.Reader
	timed bool
	used  int    // bytes of the record last given, still in r
	large []byte // a record that does not fit r
	clock clock
	err   error // what next answers from now on
	lines [3]lineState
}

// lineState is what a stream's line has come to.
type lineState int

const (
	// lineShort: nothing that matters.
	lineShort lineState = iota
	// linePieces: it is long, and goes on.
	linePieces
	// lineOwes: it is long and over, but its newline was not given.
	lineOwes
)

// fail makes next give err: it was met when there was something to give
// first.
func (f *frames) fail(err error) { f.err = err }

func newFrames(r io.Reader, timed bool) *frames {
	return &frames{r: bufio.NewReaderSize(&calm{r: r}, frameBuffer), timed: timed}
}

// next gives the next record, whose data is good until the call after. io.EOF
// is an end between frames; within one it is io.ErrUnexpectedEOF.
func (f *frames) next() (record, error) {
	if f.err != nil {
		return record{}, f.err
	}
	if _, err := f.r.Discard(f.used); err != nil {
		return record{}, err
	}
	f.used = 0
	head, err := f.r.Peek(frameHeader)
	if err != nil {
		if errors.Is(err, io.EOF) && len(head) > 0 {
			return record{}, io.ErrUnexpectedEOF
		}
		return record{}, err
	}
	stream, size := int(head[0]), int(binary.BigEndian.Uint32(head[4:]))
	if stream > frameError || head[1]|head[2]|head[3] != 0 || size > maxFrameBytes {
		return record{}, atom.Errorf(errdefs.ErrDataLoss, "the daemon's log stream is no log stream: frame % x", head)
	}
	var body []byte
	if frameHeader+size <= frameBuffer {
		body, err = f.r.Peek(frameHeader + size)
		if err == nil {
			f.used = frameHeader + size
			body = body[frameHeader:]
		}
	} else {
		_, _ = f.r.Discard(frameHeader) // peeked already
		if cap(f.large) < size {
			f.large = make([]byte, size)
		}
		body = f.large[:size]
		_, err = io.ReadFull(f.r, body)
	}
	if err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return record{}, err
	}
	if stream == frameError {
		return record{}, &logFault{string(bytes.TrimSpace(body))}
	}
	if stream == 0 {
		stream = 1 // stdin's echo, which Docker counts as stdout
	}
	r := record{at: untimed, stream: stream, data: body}
	if f.timed {
		if r.at, r.data, err = f.clock.cut(body); err != nil {
			return record{}, err
		}
	}
	return f.mend(r), nil
}

// mend gives a long line the newline that the local driver of daemons before
// 23 loses. Only its last piece is shorter than pieceBytes; so where another
// record follows it in the same stream, a newline came between. Whether one
// came at the very end of the output cannot be known, and none is made up.
func (f *frames) mend(r record) record {
	line := &f.lines[r.stream]
	if *line == linePieces && len(r.data) == 0 {
		// Its end came right after a whole piece.
		*line = lineShort
		r.data = []byte{'\n'}
		return r
	}
	before := *line
	switch {
	case r.ends():
		*line = lineShort
	case r.piece():
		*line = linePieces
	case before == linePieces:
		*line = lineOwes
	default:
		*line = lineShort
	}
	if before == lineOwes {
		r.owed = true
		r.data = append([]byte{'\n'}, r.data...)
	}
	return r
}

// ready reports whether the next record can be had without waiting for the
// daemon, and of which stream and size it is.
func (f *frames) ready() (stream, size int, ok bool) {
	have := f.r.Buffered() - f.used
	if have < frameHeader {
		return 0, 0, false
	}
	all, err := f.r.Peek(f.used + frameHeader)
	if err != nil {
		return 0, 0, false
	}
	head := all[f.used:]
	size = int(binary.BigEndian.Uint32(head[4:]))
	return int(head[0]), size, size <= maxFrameBytes && have >= frameHeader+size
}

// logFault is an error that the daemon wrote into a log stream.
type logFault struct{ text string }

func (e *logFault) Error() string { return "reading the log: " + e.text }
func (e *logFault) Unwrap() error { return errdefs.ErrDataLoss }

// clock reads RFC 3339 times. Records come many to a second, so the text up
// to the seconds is mostly that of the record before.
type clock struct {
	second [19]byte // "2006-01-02T15:04:05"
	unix   int64    // what it means in UTC
}

// cut parts a frame's time from its text.
func (c *clock) cut(b []byte) (ns int64, text []byte, err error) {
	blank := bytes.IndexByte(b[:min(len(b), 48)], ' ')
	if blank < 20 {
		return 0, nil, atom.Errorf(errdefs.ErrDataLoss, "the daemon's log record %q has no time", b[:min(len(b), 48)])
	}
	stamp, text := b[:blank], b[blank+1:]
	if !bytes.Equal(stamp[:19], c.second[:]) {
		t, err := time.Parse("2006-01-02T15:04:05", string(stamp[:19]))
		if err != nil {
			return 0, nil, badTime(stamp)
		}
		copy(c.second[:], stamp)
		c.unix = t.Unix()
	}
	rest := stamp[19:]
	nanos, digits := int64(0), 0
	if rest[0] == '.' {
		for rest = rest[1:]; len(rest) > 0 && rest[0] >= '0' && rest[0] <= '9'; rest = rest[1:] {
			if digits < 9 {
				nanos = nanos*10 + int64(rest[0]-'0')
				digits++
			}
		}
		for ; digits < 9; digits++ {
			nanos *= 10
		}
	}
	offset, ok := zone(rest)
	if !ok {
		return 0, nil, badTime(stamp)
	}
	return (c.unix-offset)*1e9 + nanos, text, nil
}

// zone reads "Z" or "+hh:mm" as seconds east of UTC. The local driver of
// daemons before 25 writes the daemon's own zone.
func zone(b []byte) (int64, bool) {
	if len(b) == 1 && b[0] == 'Z' {
		return 0, true
	}
	if len(b) != 6 || b[3] != ':' || b[0] != '+' && b[0] != '-' {
		return 0, false
	}
	var n [4]int64
	for i, at := range [4]int{1, 2, 4, 5} {
		if b[at] < '0' || b[at] > '9' {
			return 0, false
		}
		n[i] = int64(b[at] - '0')
	}
	seconds := ((n[0]*10+n[1])*60 + n[2]*10 + n[3]) * 60
	if b[0] == '-' {
		seconds = -seconds
	}
	return seconds, true
}

func badTime(stamp []byte) error {
	return fmt.Errorf("%w: the daemon's log record has the time %q", errdefs.ErrDataLoss, stamp)
}
