//go:build linux || darwin

package process

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/plugins/process/internal/state"
)

// entry is one record of a log that a test writes itself.
type entry struct {
	stream atom.Stream
	time   int64
	data   string
}

// stopped makes a stopped atom with that log.
func stopped(t *testing.T, e *Engine, entries []entry) (atom.Info, *view) {
	t.Helper()
	r := sh("true")
	r.Key = atom.NewKey()
	a := half(t, e, r, 0)
	v, err := e.store.find("", a.ID)
	if err != nil {
		t.Fatal(err)
	}
	var log []byte
	for _, entry := range entries {
		buf := make([]byte, state.MaxRecord)
		n := copy(buf[state.HeaderBytes:], entry.data)
		log = append(log, state.PutRecord(buf, int64(len(log)), state.Header{Stream: string(entry.stream), Time: entry.time, Length: n})...)
	}
	code := 0
	err = errors.Join(
		os.WriteFile(filepath.Join(v.dir, state.LogFile), log, 0o600),
		state.WriteJSON(v.dir, state.StartedFile, state.Started{ID: a.ID, PID: 1, Time: 1}),
		state.WriteJSON(v.dir, state.ExitFile, state.Exit{ID: a.ID, Code: &code, Time: 2, LogBytes: int64(len(log))}),
	)
	if err != nil {
		t.Fatal(err)
	}
	return a, v
}

// randomEntries are small records of both streams, whose boundaries mean
// nothing to the lines in them.
func randomEntries(r *rand.Rand) []entry {
	var entries []entry
	at := int64(1000)
	for range r.IntN(12) {
		stream := atom.Stdout
		if r.IntN(3) == 0 {
			stream = atom.Stderr
		}
		var data []byte
		for range 1 + r.IntN(6) {
			data = append(data, "ab\n\n"[r.IntN(4)])
		}
		entries = append(entries, entry{stream, at, string(data)})
		at += int64(r.IntN(2))
	}
	return entries
}

// piece is a byte of output, for the reference that tails are held against.
type piece struct {
	stream atom.Stream
	b      byte
	line   int // number of its line, in the order of the lines' ends
}

// reference is what is to be delivered, worked out byte by byte.
func reference(entries []entry, since int64, only atom.Stream, tail int) string {
	var all []piece
	open := make(map[atom.Stream][]int) // bytes of each stream's unfinished line
	lines := 0
	end := func(s atom.Stream) {
		for _, i := range open[s] {
			all[i].line = lines
		}
		lines++
		delete(open, s)
	}
	for _, entry := range entries {
		if entry.time < since || only != "" && entry.stream != only {
			continue
		}
		for i := range len(entry.data) {
			all = append(all, piece{stream: entry.stream, b: entry.data[i]})
			open[entry.stream] = append(open[entry.stream], len(all)-1)
			if entry.data[i] == '\n' {
				end(entry.stream)
			}
		}
	}
	for len(open) > 0 { // unfinished ones end with their last bytes
		var first atom.Stream
		for s, bytes := range open {
			if first == "" || bytes[len(bytes)-1] < open[first][len(open[first])-1] {
				first = s
			}
		}
		// Lines that ended after that byte come after it.
		at := lines
		last := open[first][len(open[first])-1]
		for i := range all {
			if i > last && all[i].b == '\n' {
				at = min(at, all[i].line)
			}
		}
		for i := range all {
			if all[i].line >= at && finished(open, i) {
				all[i].line++
			}
		}
		for _, i := range open[first] {
			all[i].line = at
		}
		lines++
		delete(open, first)
	}
	var out strings.Builder
	for _, p := range all {
		if tail == 0 || tail > 0 && p.line >= lines-tail {
			out.WriteByte(p.b)
		}
	}
	return out.String()
}

func finished(open map[atom.Stream][]int, i int) bool {
	for _, bytes := range open {
		for _, j := range bytes {
			if i == j {
				return false
			}
		}
	}
	return true
}

func TestTailSinceStream(t *testing.T) {
	e := newEngine(t, t.TempDir())
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	for range 60 {
		entries := randomEntries(r)
		a, _ := stopped(t, e, entries)
		for tail := atom.TailNone; tail < 6; tail++ {
			for _, since := range []int64{0, 1000, 1002, 2000} {
				for _, only := range []atom.Stream{"", atom.Stdout, atom.Stderr} {
					request := atom.EngineLogsRequest{ID: a.ID, Tail: tail, Stream: only}
					if since > 0 {
						request.Since = time.Unix(0, since)
					}
					want := reference(entries, since, only, tail)
					if got := logs(t, e, request); got != want {
						t.Fatalf("seed %d: tail %d, since %d, stream %q of %v: got %q, want %q", seed, tail, since, only, entries, got, want)
					}
				}
			}
		}
	}
}

// TestTailOfMuch reads backwards over many windows.
func TestTailOfMuch(t *testing.T) {
	e := newEngine(t, t.TempDir())
	entries := []entry{{atom.Stderr, 1, "beginning of "}, {atom.Stdout, 1, "first\nlast of stdout "}}
	for range 40 {
		entries = append(entries, entry{atom.Stdout, 2, strings.Repeat("x", state.MaxData)})
	}
	entries = append(entries, entry{atom.Stderr, 3, "stderr\n"})
	a, _ := stopped(t, e, entries)
	long := "last of stdout " + strings.Repeat("x", 40*state.MaxData)
	for tail, want := range map[int]string{
		1: "beginning of stderr\n",
		2: "beginning of " + long + "stderr\n",
		3: "beginning of first\n" + long + "stderr\n",
		9: "beginning of first\n" + long + "stderr\n",
	} {
		if got := logs(t, e, atom.EngineLogsRequest{ID: a.ID, Tail: tail}); got != want {
			t.Errorf("tail %d: got %d bytes, want %d", tail, len(got), len(want))
		}
	}
}

func TestCursor(t *testing.T) {
	e := newEngine(t, t.TempDir())
	entries := []entry{{atom.Stdout, 10, "a\nb"}, {atom.Stderr, 11, "E\n"}, {atom.Stdout, 12, "c\n"}, {atom.Stdout, 13, "d\n"}, {atom.Stderr, 14, "F"}}
	a, _ := stopped(t, e, entries)
	for _, timestamps := range []bool{true, false} { // records one by one, and joined
		for _, base := range []atom.EngineLogsRequest{{}, {Since: time.Unix(0, 12)}, {Stream: atom.Stderr}, {Tail: 2}} {
			base.ID, base.Timestamps = a.ID, timestamps
			all := chunks(t, e, base)
			for i, chunk := range all {
				resumed := base
				resumed.Cursor = chunk.Cursor
				if diff := cmp.Diff(text(all[i+1:]), text(chunks(t, e, resumed))); diff != "" {
					t.Errorf("%+v after chunk %d: %s", base, i, diff)
				}
			}
		}
	}
	for _, cursor := range []string{"x", "p1.", "p1.-1", "p1.zzzz"} {
		if _, err := tryLogs(t, e, atom.EngineLogsRequest{ID: a.ID, Cursor: cursor}); !errdefs.IsInvalidArgument(err) {
			t.Errorf("cursor %q: %v", cursor, err)
		}
	}
	if _, err := tryLogs(t, e, atom.EngineLogsRequest{ID: a.ID, Cursor: cursorAt(1)}); !errdefs.IsDataLoss(err) {
		t.Errorf("cursor within a record: %v", err)
	}
}

func chunks(t *testing.T, e *Engine, r atom.EngineLogsRequest) []atom.LogChunk {
	t.Helper()
	r.Context = bounded(t)
	in, err := e.Logs(&r)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	var all []atom.LogChunk
	for {
		chunk, err := in.(*atom.LogReader).Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, chunk)
	}
}

func text(chunks []atom.LogChunk) string {
	var out strings.Builder
	for _, chunk := range chunks {
		fmt.Fprintf(&out, "%s %q\n", chunk.Stream, chunk.Data)
	}
	return out.String()
}

func TestTimestamps(t *testing.T) {
	e := newEngine(t, t.TempDir())
	at := time.Date(2026, 3, 1, 12, 0, 0, 5, time.FixedZone("", 3600))
	a, _ := stopped(t, e, []entry{{atom.Stdout, at.UnixNano(), "a\nb"}, {atom.Stdout, at.UnixNano() + 1, "c\nd"}})
	want := "2026-03-01T11:00:00.000000005Z a\n2026-03-01T11:00:00.000000005Z bc\n2026-03-01T11:00:00.000000006Z d"
	if got := logs(t, e, atom.EngineLogsRequest{ID: a.ID, Timestamps: true}); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestDamagedLog has logs that are not what the exit says: never a clean end.
func TestDamagedLog(t *testing.T) {
	e := newEngine(t, t.TempDir())
	for _, tt := range []struct {
		name   string
		damage func(log []byte) []byte
		want   string
	}{
		{"cut at a record", func(log []byte) []byte { return log[:state.HeaderBytes+2+state.TrailerBytes] }, "a\n"},
		{"cut in a record", func(log []byte) []byte { return log[:len(log)-5] }, "a\n"},
		{"cut in a header", func(log []byte) []byte { return log[:state.HeaderBytes+2+state.TrailerBytes+3] }, "a\n"},
		{"zeros", func(log []byte) []byte {
			return append(log[:state.HeaderBytes+2+state.TrailerBytes], make([]byte, state.HeaderBytes+2+state.TrailerBytes)...)
		}, "a\n"},
		{"a record twice", func(log []byte) []byte { return append(log[:len(log)/2], log[:len(log)/2]...) }, "a\n"},
		{"gone", func([]byte) []byte { return nil }, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a, v := stopped(t, e, []entry{{atom.Stdout, 1, "a\n"}, {atom.Stdout, 2, "b\n"}})
			path := filepath.Join(v.dir, state.LogFile)
			log, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if log = tt.damage(log); log == nil {
				err = os.Remove(path)
			} else {
				err = os.WriteFile(path, log, 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
			for _, noFollow := range []bool{false, true} {
				got, err := tryLogs(t, e, atom.EngineLogsRequest{ID: a.ID, NoFollow: noFollow})
				if got != tt.want || !errdefs.IsDataLoss(err) {
					t.Errorf("no follow %v: got %q, %v", noFollow, got, err)
				}
			}
		})
	}
}

// TestCutShort: the log of an atom whose shim could not write it to the end
// says so.
func TestCutShort(t *testing.T) {
	e := newEngine(t, t.TempDir())
	a, v := stopped(t, e, []entry{{atom.Stdout, 1, "a\n"}})
	code := 0
	path := filepath.Join(v.dir, state.ExitFile)
	if err := errors.Join(os.Remove(path), state.WriteJSON(v.dir, state.ExitFile, state.Exit{ID: a.ID, Code: &code, Time: 1, LogBytes: state.HeaderBytes + 2 + state.TrailerBytes, LogError: syscall.ENOSPC.Error()})); err != nil {
		t.Fatal(err)
	}
	if got, err := tryLogs(t, e, atom.EngineLogsRequest{ID: a.ID}); got != "a\n" || !errdefs.IsDataLoss(err) || !strings.Contains(err.Error(), "no space left") {
		t.Errorf("got %q, %v", got, err)
	}
	if got := get(t, e, a.ID); got.Result != atom.Success || !strings.HasPrefix(got.Message, "its output is not whole: ") {
		t.Errorf("got %+v", got)
	}
}

// TestExactBytes writes every byte, in pieces of all sizes, on both streams.
func TestExactBytes(t *testing.T) {
	dir := t.TempDir()
	e := newEngine(t, dir)
	out, errs := make([]byte, 3<<20), make([]byte, 1<<20)
	r := rand.New(rand.NewPCG(1, 2))
	for _, b := range [][]byte{out, errs} {
		for i := range b {
			b[i] = byte(r.Uint32())
		}
	}
	if err := errors.Join(os.WriteFile(dir+"/out", out, 0o600), os.WriteFile(dir+"/err", errs, 0o600)); err != nil {
		t.Fatal(err)
	}
	a := create(t, e, sh(fmt.Sprintf("cat %s/out & dd bs=777 if=%s/err status=none >&2; wait", dir, dir)))
	var gotOut, gotErr bytes.Buffer
	in, err := e.Logs(&atom.EngineLogsRequest{ID: a.ID, Context: bounded(t)})
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	if err := atom.CopyLogs(&gotOut, &gotErr, in); err != nil {
		t.Fatal(err)
	}
	for name, pair := range map[string][2][]byte{"stdout": {gotOut.Bytes(), out}, "stderr": {gotErr.Bytes(), errs}} {
		if !bytes.Equal(pair[0], pair[1]) {
			t.Errorf("%s: %d bytes %s, want %d bytes %s", name, len(pair[0]), sum(pair[0]), len(pair[1]), sum(pair[1]))
		}
	}
}

func sum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:4])
}

func TestTimesOfRecords(t *testing.T) {
	dir := t.TempDir()
	e := newEngine(t, dir)
	// What is in the pipe at a time is one record, so each line waits until the
	// one before it has been recorded.
	a := create(t, e, sh("cd "+dir+"; echo one; "+untilFile("one")+"; echo two; "+untilFile("two")+"; echo three"))
	written := ""
	for _, line := range []string{"one", "two"} {
		written += line + "\n"
		awaitOutput(t, e, a.ID, written)
		touch(t, filepath.Join(dir, line))
	}
	end := wait(t, e, a.ID)
	all := chunks(t, e, atom.EngineLogsRequest{ID: a.ID, Timestamps: true})
	last := a.CreatedAt
	for _, chunk := range all {
		if chunk.Time.Before(last) || chunk.Time.After(end.StoppedAt) {
			t.Errorf("%q at %v, after %v, of an atom that lived from %v to %v", chunk.Data, chunk.Time, last, a.CreatedAt, end.StoppedAt)
		}
		last = chunk.Time
	}
	if len(all) != 3 {
		t.Fatalf("got %s", text(all))
	}
	if got := logs(t, e, atom.EngineLogsRequest{ID: a.ID, Since: all[1].Time}); got != "two\nthree\n" {
		t.Errorf("since its time: %q", got)
	}
	if got := logs(t, e, atom.EngineLogsRequest{ID: a.ID, Since: all[1].Time.Add(1)}); got != "three\n" {
		t.Errorf("since just after: %q", got)
	}
}

func TestLogsOfRunningAtom(t *testing.T) {
	dir := t.TempDir()
	e := newEngine(t, dir)
	a := create(t, e, sh("echo one; while [ ! -e "+dir+"/go ]; do sleep 0.01; done; echo two"))
	awaitOutput(t, e, a.ID, "one\n")
	if got := logs(t, e, atom.EngineLogsRequest{ID: a.ID, NoFollow: true}); got != "one\n" {
		t.Errorf("no follow: %q", got)
	}
	followers := map[string]atom.EngineLogsRequest{
		"one\ntwo\n": {Tail: 5},
		"two\n":      {Tail: atom.TailNone},
	}
	done := make(chan struct{})
	for want, request := range followers {
		request.ID, request.Context = a.ID, bounded(t)
		in, err := e.Logs(&request)
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			defer func() { done <- struct{}{} }()
			defer in.Close()
			text, err := io.ReadAll(in)
			if string(text) != want || err != nil {
				t.Errorf("got %q, %v; want %q", text, err, want)
			}
		}()
	}
	// A Close ends a blocked Read at once.
	in, err := e.Logs(&atom.EngineLogsRequest{ID: a.ID})
	if err != nil {
		t.Fatal(err)
	}
	closed := make(chan error, 1)
	go func() {
		_, err := io.ReadAll(in)
		closed <- err
	}()
	if err := errors.Join(in.Close(), in.Close()); err != nil {
		t.Error(err)
	}
	if err := <-closed; !errors.Is(err, atom.ErrLogsClosed) {
		t.Errorf("after close: %v", err)
	}
	if err := os.WriteFile(dir+"/go", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	<-done
	<-done
	// Deleted under a reader that has not got it all.
	b := create(t, e, sh("echo one; sleep 100"))
	in, err = e.Logs(&atom.EngineLogsRequest{ID: b.ID, Context: bounded(t)})
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	if _, err := io.ReadFull(in, make([]byte, 4)); err != nil {
		t.Fatal(err)
	}
	if err := e.Delete(&atom.EngineDeleteRequest{ID: b.ID, Force: true}); err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(in); len(text) > 0 || err != nil && !errdefs.IsNotFound(err) {
		t.Errorf("after the deletion: %q, %v", text, err)
	}
}

func FuzzParseCursor(f *testing.F) {
	f.Add(cursorAt(0))
	f.Add(cursorAt(math.MaxInt64))
	f.Fuzz(func(t *testing.T, text string) {
		at, err := parseCursor(text)
		if err != nil {
			return
		}
		if again, err := parseCursor(cursorAt(at)); err != nil || again != at {
			t.Errorf("%q reads as %d, written again as %q", text, at, cursorAt(at))
		}
	})
}
