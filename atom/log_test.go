package atom

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"
)

// chunks is a LogSource of fixed chunks; after them it gives err, or blocks
// until it is closed where err is nil.
type chunks struct {
	list   []LogChunk
	err    error
	once   sync.Once
	closed chan struct{}
}

func source(err error, list ...LogChunk) *chunks {
	return &chunks{list: list, err: err, closed: make(chan struct{})}
}

func (s *chunks) Next() (LogChunk, error) {
	if len(s.list) > 0 {
		c := s.list[0]
		s.list = s.list[1:]
		return c, nil
	}
	if s.err != nil {
		return LogChunk{}, s.err
	}
	<-s.closed
	return LogChunk{}, errors.New("some error of the source")
}

func (s *chunks) Close() error {
	s.once.Do(func() { close(s.closed) })
	return errors.New("closing")
}

func at(n int) time.Time {
	return time.Date(2026, 1, 2, 3, 4, n, n, time.FixedZone("", 3600))
}

func TestLogReaderReads(t *testing.T) {
	const s1, s2, s3, s4 = "2026-01-02T02:04:01.000000001Z ", "2026-01-02T02:04:02.000000002Z ", "2026-01-02T02:04:03.000000003Z ", "2026-01-02T02:04:04.000000004Z "
	for _, c := range []struct {
		name           string
		chunks         []LogChunk
		plain, stamped string
	}{
		{"nothing", nil, "", ""},
		{"lines", []LogChunk{{Time: at(1), Data: []byte("a\n")}, {Time: at(2), Data: []byte("b\n")}}, "a\nb\n", s1 + "a\n" + s2 + "b\n"},
		{"several lines in a chunk", []LogChunk{{Time: at(1), Data: []byte("a\n\nb")}}, "a\n\nb", s1 + "a\n" + s1 + "\n" + s1 + "b"},
		{"a line in several chunks", []LogChunk{{Time: at(1), Data: []byte("a")}, {Time: at(2), Data: []byte("b")}, {Time: at(3), Data: []byte("c\nd\n")}},
			"abc\nd\n", s1 + "abc\n" + s3 + "d\n"},
		{"two streams' open lines", []LogChunk{
			{Stream: Stdout, Time: at(1), Data: []byte("out ")}, {Stream: Stderr, Time: at(2), Data: []byte("err ")},
			{Stream: Stdout, Time: at(3), Data: []byte("end\n")}, {Stream: Stderr, Time: at(4), Data: []byte("end\n")},
		}, "out err end\nend\n", s1 + "out " + s2 + "err end\nend\n"},
		{"a newline of its own", []LogChunk{{Time: at(1), Data: []byte("a")}, {Time: at(2), Data: []byte("\n")}, {Time: at(3), Data: []byte("b\n")}}, "a\nb\n", s1 + "a\n" + s3 + "b\n"},
		{"no time", []LogChunk{{Data: []byte("a\n")}}, "a\n", "a\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := iotest.TestReader(NewLogReader(source(io.EOF, c.chunks...), false), []byte(c.plain)); err != nil {
				t.Error(err)
			}
			got, err := io.ReadAll(iotest.OneByteReader(NewLogReader(source(io.EOF, c.chunks...), true)))
			if err != nil || string(got) != c.stamped {
				t.Errorf("with timestamps %q, %v; want %q", got, err, c.stamped)
			}
		})
	}
}

// lender is a LogLender that overwrites what it lent.
type lender struct {
	*chunks
	lent []byte
}

func (l *lender) Lend() (LogChunk, error) {
	for i := range l.lent {
		l.lent[i] = '!'
	}
	c, err := l.Next()
	l.lent = append(l.lent[:0], c.Data...)
	c.Data = l.lent
	return c, err
}

func TestLogReaderBorrows(t *testing.T) {
	const s1, s2 = "2026-01-02T02:04:01.000000001Z ", "2026-01-02T02:04:02.000000002Z "
	lends := func(timestamps bool) *LogReader {
		return NewLogReader(&lender{chunks: source(io.EOF,
			LogChunk{Time: at(1), Data: []byte("one\ntw")}, LogChunk{Time: at(2), Data: []byte("o\n")}, LogChunk{Time: at(2), Data: []byte("three\n")})}, timestamps)
	}
	for timestamps, want := range map[bool]string{false: "one\ntwo\nthree\n", true: s1 + "one\n" + s1 + "two\n" + s2 + "three\n"} {
		read, err := io.ReadAll(iotest.OneByteReader(lends(timestamps)))
		var copied bytes.Buffer
		if err := errors.Join(err, CopyLogs(&copied, &copied, lends(timestamps))); err != nil || string(read) != want || copied.String() != want {
			t.Errorf("read %q, copied %q, %v; want %q", read, copied.String(), err, want)
		}
	}
	// What Next gives is the caller's.
	r := lends(false)
	first, _ := r.Next()
	lent, err := Borrow(r)
	if string(lent.Data) != "o\n" || err != nil {
		t.Errorf("lent %q, %v", lent.Data, err)
	}
	if _, err := Borrow(r); err != nil || string(lent.Data) != "!!" && string(lent.Data) != "th" || string(first.Data) != "one\ntw" {
		t.Errorf("%q is left of what was lent, and %q of what was given; %v", lent.Data, first.Data, err)
	}
	if _, err := Borrow(r); err != io.EOF {
		t.Error(err)
	}
	if _, err := Borrow(r); err != io.EOF {
		t.Error("the end did not come again:", err)
	}
}

func TestLogReaderNextIsPlain(t *testing.T) {
	r := NewLogReader(source(io.EOF, LogChunk{Stream: Stderr, Time: at(1), Data: []byte("a\n"), Cursor: "1"}), true)
	c, err := r.Next()
	if err != nil || string(c.Data) != "a\n" || c.Stream != Stderr || c.Cursor != "1" {
		t.Errorf("%+v, %v", c, err)
	}
	for range 2 {
		if _, err := r.Next(); !errors.Is(err, io.EOF) {
			t.Errorf("at the end: %v", err)
		}
	}
}

func TestLogReaderKeepsItsError(t *testing.T) {
	broken := errors.New("broken")
	r := NewLogReader(source(broken, LogChunk{Data: []byte("a")}), false)
	got, err := io.ReadAll(r)
	if string(got) != "a" || !errors.Is(err, broken) {
		t.Errorf("%q, %v", got, err)
	}
	r.Close()
	if _, err := r.Read(make([]byte, 1)); !errors.Is(err, broken) {
		t.Errorf("after close: %v", err)
	}
}

func TestLogReaderClose(t *testing.T) {
	r := NewLogReader(source(nil), false)
	read := make(chan error)
	go func() { // ends with the read
		_, err := r.Read(make([]byte, 1))
		read <- err
	}()
	for range 2 {
		if err := r.Close(); err == nil || err.Error() != "closing" {
			t.Errorf("close: %v", err)
		}
	}
	if err := <-read; !errors.Is(err, ErrLogsClosed) {
		t.Errorf("the blocked read: %v", err)
	}
	if n, err := r.Read(nil); n != 0 || err != nil {
		t.Errorf("a read of nothing: %d, %v", n, err)
	}
	if _, err := r.Read(make([]byte, 1)); !errors.Is(err, ErrLogsClosed) {
		t.Errorf("a later read: %v", err)
	}
}

// A source may hold chunks that it fetched before it was closed; a closed
// reader gives none of them.
func TestLogReaderGivesNothingAfterClose(t *testing.T) {
	r := NewLogReader(source(io.EOF, LogChunk{Data: []byte("abc")}, LogChunk{Data: []byte("d")}), false)
	if _, err := io.ReadFull(r, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	r.Close()
	if n, err := r.Read(make([]byte, 9)); n != 0 || !errors.Is(err, ErrLogsClosed) {
		t.Errorf("%d bytes, %v", n, err)
	}
	if c, err := r.Next(); !errors.Is(err, ErrLogsClosed) {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestCopyLogs(t *testing.T) {
	var out, errOut bytes.Buffer
	list := []LogChunk{{Stream: Stdout, Time: at(1), Data: []byte("o\n")}, {Stream: Stderr, Time: at(1), Data: []byte("e\n")}, {Data: []byte("?\n")}}
	if err := CopyLogs(&out, &errOut, NewLogReader(source(io.EOF, list...), true)); err != nil {
		t.Error(err)
	}
	const stamp = "2026-01-02T02:04:01.000000001Z "
	if out.String() != stamp+"o\n?\n" || errOut.String() != stamp+"e\n" {
		t.Errorf("%q, %q", &out, &errOut)
	}
	out.Reset()
	if err := CopyLogs(&out, &errOut, strings.NewReader("plain")); err != nil || out.String() != "plain" {
		t.Errorf("of a plain reader: %q, %v", &out, err)
	}
	broken := errors.New("broken")
	if err := CopyLogs(&out, &errOut, NewLogReader(source(broken), false)); !errors.Is(err, broken) {
		t.Errorf("of a broken log: %v", err)
	}
	full := iotest.ErrReader(broken)
	if err := CopyLogs(&out, &errOut, full); !errors.Is(err, broken) {
		t.Errorf("of a broken reader: %v", err)
	}
}
