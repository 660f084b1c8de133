package docker

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"

	"github.com/atom-router/atom-router/atom"
)

// drain reads a log to its end, chunk by chunk.
func drain(t *testing.T, e *Engine, r atom.EngineLogsRequest) ([]atom.LogChunk, error) {
	t.Helper()
	r.ID = fakeID
	rd, err := e.Logs(&r)
	if err != nil {
		return nil, err
	}
	defer rd.Close()
	var chunks []atom.LogChunk
	for {
		c, err := rd.(*atom.LogReader).Next()
		if errors.Is(err, io.EOF) {
			return chunks, nil
		}
		if err != nil {
			return chunks, err
		}
		chunks = append(chunks, c)
	}
}

// flat is the records of chunks as text, each stream for itself and both in
// order; chunks may be cut differently and still be the same.
func flat(chunks []atom.LogChunk) string {
	var b strings.Builder
	var last atom.Stream
	for _, c := range chunks {
		if c.Stream != last {
			fmt.Fprintf(&b, "\n[%s]", c.Stream)
			last = c.Stream
		}
		b.Write(c.Data)
	}
	return b.String()
}

func asChunks(log []record) []atom.LogChunk {
	var out []atom.LogChunk
	for _, r := range log {
		out = append(out, atom.LogChunk{Stream: streamNames[r.stream], Time: time.Unix(0, r.at).UTC(), Data: r.data})
	}
	return out
}

// variants runs a check over many random logs and both kinds of daemon.
func variants(t *testing.T, check func(t *testing.T, d *fakeDaemon, rng *rand.Rand)) {
	for seed := range uint64(12) {
		for _, suffix := range []bool{false, true} {
			t.Run(fmt.Sprintf("seed=%d,suffix=%t", seed, suffix), func(t *testing.T) {
				t.Parallel()
				rng := rand.New(rand.NewPCG(seed, 7))
				d := newFakeDaemon(t)
				d.suffix = suffix
				d.zone = time.FixedZone("", int(seed)*1800-5*3600)
				d.log = randomLog(rng, 10+rng.IntN(150))
				check(t, d, rng)
			})
		}
	}
}

func TestLogsResumeAtEveryChunk(t *testing.T) {
	variants(t, func(t *testing.T, d *fakeDaemon, rng *rand.Rand) {
		e := d.engine(t)
		median := d.log[len(d.log)/2].at
		for name, r := range map[string]atom.EngineLogsRequest{
			"whole":  {Timestamps: true},
			"plain":  {},
			"since":  {Timestamps: true, Since: time.Unix(0, median)},
			"stderr": {Timestamps: true, Stream: atom.Stderr},
			"tail":   {Timestamps: true, Tail: 1 + rng.IntN(20)},
		} {
			whole, err := drain(t, e, r)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			for i := range whole {
				if i%3 != 0 && i != len(whole)-1 {
					continue
				}
				again := r
				again.Cursor = whole[i].Cursor
				rest, err := drain(t, e, again)
				if err != nil {
					t.Fatalf("%s: resuming after chunk %d at %s: %v", name, i, again.Cursor, err)
				}
				if got, want := flat(rest), flat(whole[i+1:]); got != want {
					t.Fatalf("%s: resuming after chunk %d at %s:\ngot  %q\nwant %q", name, i, again.Cursor, got, want)
				}
			}
		}
	})
}

// A clock set back by an hour: daemons since 23 can be resumed behind it, and
// so can any before it.
func TestLogsClockSetBack(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 2))
	d := newFakeDaemon(t)
	d.suffix = true
	d.log = randomLog(rng, 60)
	for _, r := range randomLog(rng, 60) {
		r.at -= 3600e9
		d.log = append(d.log, r)
	}
	e := d.engine(t)
	whole, err := drain(t, e, atom.EngineLogsRequest{Timestamps: true})
	if err != nil {
		t.Fatal(err)
	}
	for i := range whole {
		rest, err := drain(t, e, atom.EngineLogsRequest{Timestamps: true, Cursor: whole[i].Cursor})
		if err != nil || flat(rest) != flat(whole[i+1:]) {
			t.Fatalf("resuming after chunk %d at %s: %v\ngot  %q\nwant %q", i, whole[i].Cursor, err, flat(rest), flat(whole[i+1:]))
		}
	}
}

func TestLogsOverBreaks(t *testing.T) {
	variants(t, func(t *testing.T, d *fakeDaemon, rng *rand.Rand) {
		e := d.engine(t)
		want := flat(asChunks(d.log))
		breaks := 0
		d.cut = func(size int) int {
			if breaks++; breaks > 6 {
				return size
			}
			return rng.IntN(size + 1)
		}
		for _, r := range []atom.EngineLogsRequest{{}, {Timestamps: true}} {
			d.mu.Lock()
			d.running, d.polls = true, 0
			d.mu.Unlock()
			breaks = 0
			got, err := drain(t, e, r)
			if err != nil {
				t.Fatal(err)
			}
			if flat(got) != want {
				t.Fatalf("after breaks:\ngot  %q\nwant %q", flat(got), want)
			}
		}
	})
}

// A log that ends without an error may have ended early.
func TestLogsOverPoliteBreaks(t *testing.T) {
	for seed := range uint64(10) {
		rng := rand.New(rand.NewPCG(seed, 3))
		d := newFakeDaemon(t)
		d.log = randomLog(rng, 60)
		whole := d.log
		d.log, d.running = whole[:20], true
		e := d.engine(t)
		rd, err := e.Logs(&atom.EngineLogsRequest{ID: fakeID})
		if err != nil {
			t.Fatal(err)
		}
		var got []atom.LogChunk
		for n := 0; ; n++ {
			c, err := rd.(*atom.LogReader).Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if got = append(got, c); n == 0 {
				d.mu.Lock()
				d.log, d.running = whole, false
				d.mu.Unlock()
			}
		}
		rd.Close()
		if want := flat(asChunks(whole)); flat(got) != want {
			t.Fatalf("seed %d:\ngot  %q\nwant %q", seed, flat(got), want)
		}
	}
}

func TestLogsSince(t *testing.T) {
	variants(t, func(t *testing.T, d *fakeDaemon, rng *rand.Rand) {
		e := d.engine(t)
		for range 5 {
			since := d.log[rng.IntN(len(d.log))].at + rng.Int64N(3) - 1
			got, err := drain(t, e, atom.EngineLogsRequest{Since: time.Unix(0, since)})
			if err != nil {
				t.Fatal(err)
			}
			want := slices.DeleteFunc(slices.Clone(d.log), func(r record) bool { return r.at < since })
			if flat(got) != flat(asChunks(want)) {
				t.Fatalf("since %d:\ngot  %q\nwant %q", since, flat(got), flat(asChunks(want)))
			}
		}
	})
}

// lastLines is what a Tail is: the pieces of the last n lines to begin, in the
// log's order.
func lastLines(log []record, n int) []record {
	line := make([]int, len(log))
	lines := 0
	var open [3]int
	for i, r := range log {
		if open[r.stream] == 0 {
			lines++
			open[r.stream] = lines
		}
		line[i] = open[r.stream]
		if r.ends() {
			open[r.stream] = 0
		}
	}
	var out []record
	for i, r := range log {
		if line[i] > lines-n {
			out = append(out, r)
		}
	}
	return out
}

func TestLogsTail(t *testing.T) {
	variants(t, func(t *testing.T, d *fakeDaemon, rng *rand.Rand) {
		e := d.engine(t)
		for _, n := range []int{1, 2, 7, 1 + rng.IntN(60), 100000} {
			got, err := drain(t, e, atom.EngineLogsRequest{Tail: n})
			if err != nil {
				t.Fatal(err)
			}
			if want := flat(asChunks(lastLines(d.log, n))); flat(got) != want {
				t.Fatalf("tail %d:\ngot  %q\nwant %q", n, flat(got), want)
			}
		}
		got, err := drain(t, e, atom.EngineLogsRequest{Tail: atom.TailNone})
		if len(got) > 0 || err != nil {
			t.Fatalf("no tail: %q, %v", flat(got), err)
		}
	})
}

func TestLogsTimestamps(t *testing.T) {
	variants(t, func(t *testing.T, d *fakeDaemon, rng *rand.Rand) {
		got, err := drain(t, d.engine(t), atom.EngineLogsRequest{Timestamps: true})
		if err != nil {
			t.Fatal(err)
		}
		for i, c := range got {
			if r := d.log[i]; !c.Time.Equal(time.Unix(0, r.at)) || !bytes.Equal(c.Data, r.data) {
				t.Fatalf("record %d: got %v %q, want %v %q", i, c.Time, c.Data, time.Unix(0, r.at), r.data)
			}
		}
	})
}

func TestLogsRotatedAway(t *testing.T) {
	d := newFakeDaemon(t)
	d.log = randomLog(rand.New(rand.NewPCG(1, 1)), 100)
	e := d.engine(t)
	whole, err := drain(t, e, atom.EngineLogsRequest{Timestamps: true})
	if err != nil {
		t.Fatal(err)
	}
	cursor := whole[10].Cursor
	for _, kept := range []int{95, 5} {
		d.log = d.log[len(d.log)-kept:]
		if _, err := drain(t, e, atom.EngineLogsRequest{Timestamps: true, Cursor: cursor}); !errdefs.IsDataLoss(err) {
			t.Fatalf("with %d records left: %v", kept, err)
		}
	}
}

func TestLogsDaemonsError(t *testing.T) {
	f := newFrames(bytes.NewReader(append([]byte{3, 0, 0, 0, 0, 0, 0, 5}, "alas\n"...)), true)
	if _, err := f.next(); !errdefs.IsDataLoss(err) || !strings.Contains(err.Error(), "alas") {
		t.Fatalf("got %v", err)
	}
}

func TestLogsBadRequests(t *testing.T) {
	e := newFakeDaemon(t).engine(t)
	for name, r := range map[string]atom.EngineLogsRequest{
		"stream":       {Stream: "stdlog"},
		"tail":         {Tail: -2},
		"cursor":       {Cursor: "x"},
		"cursor parts": {Cursor: "1.2.3.4.5.6.7.8"},
		"cursor sign":  {Cursor: "1.-2.3.4.5.6.7.8.9"},
		"cursor range": {Cursor: "1.1y2p0ij32e8e7.3.4.5.6.7.8.9"},
	} {
		if _, err := drain(t, e, r); !errdefs.IsInvalidArgument(err) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestLogsCloseAtOnce(t *testing.T) {
	d := newFakeDaemon(t)
	d.running, d.polls = true, -1<<30
	rd, err := d.engine(t).Logs(&atom.EngineLogsRequest{ID: fakeID})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() {
		_, err := rd.Read(make([]byte, 1))
		done <- err
	}()
	rd.Close()
	if err := <-done; !errors.Is(err, atom.ErrLogsClosed) {
		t.Fatalf("got %v", err)
	}
}

func FuzzParseCursor(f *testing.F) {
	p := startAt(1700000000e9)
	for i := range 40 {
		p.pass(record{at: 1700000000e9 + int64(i)*1e9, stream: 1 + i%2, data: []byte("line\n")})
	}
	f.Add(p.cursor())
	f.Add("1.a.b.c.d.1.e.f.g")
	f.Fuzz(func(t *testing.T, text string) {
		r, err := parseCursor(text)
		if err != nil {
			return
		}
		p := position{whole: r.whole, anchor: mark{r.from, r.records, r.bytes}, last: r.last, mute: r.mute}
		if again, err := parseCursor(p.cursor()); err != nil || again != r {
			t.Errorf("%q reads as %+v, written again as %q, which reads as %+v, %v", text, r, p.cursor(), again, err)
		}
	})
}

// While a container is removed its daemon says so of its log, with a conflict
// and not that there is none.
func TestLogsOfWhatIsBeingRemoved(t *testing.T) {
	d := newFakeDaemon(t)
	d.removed = true
	logs, err := d.engine(t).Logs(&atom.EngineLogsRequest{ID: fakeID, Context: t.Context()})
	if err == nil {
		defer logs.Close()
		_, err = io.ReadAll(logs)
	}
	if !errdefs.IsNotFound(err) || !strings.Contains(err.Error(), "deleted") {
		t.Errorf("%v; want that the atom was deleted", err)
	}
}
