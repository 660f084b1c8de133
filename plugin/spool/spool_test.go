package spool_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/containerd/errdefs"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/plugin/spool"
)

// read gives all chunks that r asks for.
func read(t *testing.T, s *spool.Spool, r atom.EngineLogsRequest) []atom.LogChunk {
	t.Helper()
	logs, err := s.Read(&r)
	if err != nil {
		t.Fatal(err)
	}
	defer logs.Close()
	var all []atom.LogChunk
	for {
		c, err := logs.Next()
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, c)
	}
}

func text(chunks []atom.LogChunk) string {
	var b strings.Builder
	for _, c := range chunks {
		b.Write(c.Data)
	}
	return b.String()
}

func write(s *spool.Spool, stream atom.Stream, words ...string) {
	for _, w := range words {
		io.WriteString(s.Writer(stream), w)
	}
}

func TestRanges(t *testing.T) {
	s := spool.New(0)
	write(s, atom.Stdout, "one\ntw", "o\n")
	write(s, atom.Stderr, "oops\n")
	write(s, atom.Stdout, "thr")
	write(s, atom.Stderr, "aside\n") // begins after "three" and ends before it
	write(s, atom.Stdout, "ee\n", "last")
	s.End()
	write(s, atom.Stdout, "lost")
	for _, c := range []struct {
		name string
		r    atom.EngineLogsRequest
		want string
	}{
		{"all", atom.EngineLogsRequest{}, "one\ntwo\noops\nthraside\nee\nlast"},
		{"not followed", atom.EngineLogsRequest{NoFollow: true}, "one\ntwo\noops\nthraside\nee\nlast"},
		{"stdout", atom.EngineLogsRequest{Stream: atom.Stdout}, "one\ntwo\nthree\nlast"},
		{"stderr", atom.EngineLogsRequest{Stream: atom.Stderr}, "oops\naside\n"},
		{"tail 1", atom.EngineLogsRequest{Tail: 1}, "last"},
		{"tail 2 counts lines as they began", atom.EngineLogsRequest{Tail: 2}, "aside\nlast"},
		{"tail 3", atom.EngineLogsRequest{Tail: 3}, "thraside\nee\nlast"},
		{"tail 4", atom.EngineLogsRequest{Tail: 4}, "oops\nthraside\nee\nlast"},
		{"tail of a stream", atom.EngineLogsRequest{Tail: 2, Stream: atom.Stdout}, "three\nlast"},
		{"tail of more than there is", atom.EngineLogsRequest{Tail: 100}, "one\ntwo\noops\nthraside\nee\nlast"},
		{"tail of nothing", atom.EngineLogsRequest{Tail: atom.TailNone}, ""},
		{"since later", atom.EngineLogsRequest{Since: time.Now().Add(time.Hour)}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := text(read(t, s, c.r)); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestSinceIsExact(t *testing.T) {
	s := spool.New(0)
	write(s, atom.Stdout, "one\n", "two\n", "three\n")
	s.End()
	all := read(t, s, atom.EngineLogsRequest{})
	if len(all) != 3 || all[2].Time.Before(all[0].Time) {
		t.Fatalf("got %v", all)
	}
	for _, since := range []time.Time{all[1].Time, all[1].Time.Add(1)} {
		want := ""
		for _, c := range all {
			if !c.Time.Before(since) {
				want += string(c.Data)
			}
		}
		if got := text(read(t, s, atom.EngineLogsRequest{Since: since})); got != want {
			t.Errorf("since %v: %q, want %q", since, got, want)
		}
	}
}

func TestCursors(t *testing.T) {
	s := spool.New(0)
	write(s, atom.Stdout, "one\n", strings.Repeat("x", 50<<10)+"\n")
	write(s, atom.Stderr, "oops\n")
	write(s, atom.Stdout, "open")
	s.End()
	all := read(t, s, atom.EngineLogsRequest{})
	if len(all) != 7 { // the long line comes in four
		t.Fatalf("%d chunks", len(all))
	}
	for i, c := range all {
		rest := read(t, s, atom.EngineLogsRequest{Cursor: c.Cursor, Tail: 1})
		if got, want := text(rest), text(all[i+1:]); got != want {
			t.Errorf("after chunk %d: %d bytes, want %d", i, len(got), len(want))
		}
	}
	for _, cursor := range []string{"0", "8", "-1", "x", "99999999999999999999"} {
		if _, err := s.Read(&atom.EngineLogsRequest{Cursor: cursor}); !errdefs.IsInvalidArgument(err) {
			t.Errorf("cursor %q: %v", cursor, err)
		}
	}
}

func TestWrongRequests(t *testing.T) {
	s := spool.New(0)
	for field, r := range map[string]atom.EngineLogsRequest{"stream": {Stream: "stdin"}, "tail": {Tail: -2}} {
		if _, err := s.Read(&r); !errdefs.IsInvalidArgument(err) || !strings.HasPrefix(err.Error(), field+": ") {
			t.Errorf("%s: %v", field, err)
		}
	}
}

// TestLimit: what is over the limit is dropped; who had it yet to read is
// told, who comes later is not.
func TestLimit(t *testing.T) {
	s := spool.New(10 << 10)
	write(s, atom.Stdout, "first\n")
	slow, err := s.Read(&atom.EngineLogsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Close()
	c, err := slow.Next()
	if err != nil {
		t.Fatal(err)
	}
	for i := range 1000 {
		write(s, atom.Stdout, fmt.Sprintf("line %d %s\n", i, strings.Repeat("-", 50)))
	}
	s.End()
	if _, err := slow.Next(); !errdefs.IsDataLoss(err) {
		t.Errorf("a reader who missed something: %v", err)
	}
	if logs, err := s.Read(&atom.EngineLogsRequest{Cursor: c.Cursor}); err != nil {
		t.Error(err)
	} else if _, err := logs.Next(); !errdefs.IsDataLoss(err) {
		t.Errorf("resumed at what was dropped: %v", err)
	}
	kept := read(t, s, atom.EngineLogsRequest{})
	if n := len(text(kept)); n > 10<<10 || n < 2<<10 {
		t.Errorf("%d bytes are kept of at most %d", n, 10<<10)
	}
	if last := string(kept[len(kept)-1].Data); !strings.HasPrefix(last, "line 999 ") {
		t.Errorf("the last line is %q", last)
	}
}

func TestFollow(t *testing.T) {
	s := spool.New(0)
	logs, err := s.Read(&atom.EngineLogsRequest{Context: t.Context()})
	if err != nil {
		t.Fatal(err)
	}
	var got []byte
	var reading sync.WaitGroup
	reading.Go(func() { got, err = io.ReadAll(logs) })
	for i := range 100 {
		write(s, atom.Stdout, fmt.Sprintln(i))
	}
	s.End()
	s.End()
	reading.Wait()
	if err != nil || !strings.HasSuffix(string(got), "\n98\n99\n") {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestWhatEndsABlockedRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, c := range map[string]struct {
			end  func(*spool.Spool, io.Closer, context.CancelFunc)
			want error
		}{
			"cancelled": {func(_ *spool.Spool, _ io.Closer, cancel context.CancelFunc) { cancel() }, context.Canceled},
			"closed":    {func(_ *spool.Spool, logs io.Closer, _ context.CancelFunc) { logs.Close() }, atom.ErrLogsClosed},
			"ended":     {func(s *spool.Spool, _ io.Closer, _ context.CancelFunc) { s.End() }, io.EOF},
		} {
			s := spool.New(0)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			logs, err := s.Read(&atom.EngineLogsRequest{Context: ctx})
			if err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() { // ends with the read
				_, err := logs.Read(make([]byte, 1))
				ended <- err
			}()
			synctest.Wait() // until it is blocked
			c.end(s, logs, cancel)
			if err := <-ended; !errors.Is(err, c.want) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}
