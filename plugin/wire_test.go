package plugin

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/containerd/errdefs"
	"github.com/hashicorp/go-hclog"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/internal/wire"
)

// scripted is an engine whose every call does what do says.
type scripted struct {
	do   func(context.Context) error
	list []atom.Atom
	logs io.ReadCloser
}

func (s *scripted) answer(ctx context.Context) (atom.Atom, error) {
	if err := s.do(ctx); err != nil {
		return nil, err
	}
	return atom.New(atom.Info{ID: "x"}, s), nil
}

func (s *scripted) Get(r *atom.EngineGetRequest) (atom.Atom, error) { return s.answer(r.Context) }
func (s *scripted) Create(r *atom.EngineCreateRequest) (atom.Atom, error) {
	return s.answer(r.Context)
}
func (s *scripted) Wait(r *atom.EngineWaitRequest) (atom.Atom, error) { return s.answer(r.Context) }
func (s *scripted) Lookup(r *atom.EngineLookupRequest) (atom.Atom, error) {
	return s.answer(r.Context)
}
func (s *scripted) Stop(r *atom.EngineStopRequest) error     { return s.do(r.Context) }
func (s *scripted) Delete(r *atom.EngineDeleteRequest) error { return s.do(r.Context) }
func (s *scripted) Probe(ctx context.Context) (atom.Capabilities, error) {
	return atom.Capabilities{atom.CapImages}, s.do(ctx)
}
func (s *scripted) List(r *atom.EngineListRequest) ([]atom.Atom, error) {
	return s.list, s.do(r.Context)
}
func (s *scripted) Logs(r *atom.EngineLogsRequest) (io.ReadCloser, error) {
	if s.logs != nil {
		return s.logs, nil
	}
	return nil, s.do(r.Context)
}

// six has nothing but the six methods.
type six struct{ atom.Engine }

// connect serves e in memory and fails the test for what is left afterwards.
func connect(t *testing.T, e atom.Engine) *Client {
	t.Helper()
	return connectLogging(t, e, nil)
}

func connectLogging(t *testing.T, e atom.Engine, log Logger) *Client {
	t.Helper()
	before := goleak.IgnoreCurrent()
	listener := bufconn.Listen(64 << 10)
	s := grpc.NewServer(wire.ServerOptions()...)
	RegisterEngine(s, e, log)
	go s.Serve(listener) // ends with Stop
	conn, err := grpc.NewClient("passthrough:memory", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		conn.Close()
		s.Stop()
		if err := goleak.Find(before); err != nil {
			t.Errorf("left behind: %v", err)
		}
	})
	return NewClient(conn)
}

// everyCall is each method of a client.
func everyCall(c *Client) map[string]func(context.Context) error {
	return map[string]func(context.Context) error{
		"Get": func(ctx context.Context) error {
			_, err := c.Get(&atom.EngineGetRequest{ID: "x", Context: ctx})
			return err
		},
		"List": func(ctx context.Context) error { _, err := c.List(&atom.EngineListRequest{Context: ctx}); return err },
		"StreamList": func(ctx context.Context) error {
			return c.StreamList(&atom.EngineListRequest{Context: ctx}, func(atom.Atom) error { return nil })
		},
		"Create": func(ctx context.Context) error {
			_, err := c.Create(&atom.EngineCreateRequest{Image: "x", Context: ctx})
			return err
		},
		"CreateWithProgress": func(ctx context.Context) error {
			_, err := c.Create(&atom.EngineCreateRequest{Image: "x", Context: ctx, Progress: func(atom.Progress) {}})
			return err
		},
		"Wait": func(ctx context.Context) error {
			_, err := c.Wait(&atom.EngineWaitRequest{ID: "x", Context: ctx})
			return err
		},
		"Lookup": func(ctx context.Context) error {
			_, err := c.Lookup(&atom.EngineLookupRequest{Key: "x", Context: ctx})
			return err
		},
		"Stop":   func(ctx context.Context) error { return c.Stop(&atom.EngineStopRequest{ID: "x", Context: ctx}) },
		"Delete": func(ctx context.Context) error { return c.Delete(&atom.EngineDeleteRequest{ID: "x", Context: ctx}) },
		"Probe":  func(ctx context.Context) error { _, err := c.Probe(ctx); return err },
		"Logs": func(ctx context.Context) error {
			_, err := c.Logs(&atom.EngineLogsRequest{ID: "x", Context: ctx})
			return err
		},
	}
}

// The time is a bubble's, which stands still until all wait: no call runs out
// before the engine has it.
func TestCancelReachesTheEngine(t *testing.T) {
	for name := range everyCall(nil) {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				call, ended := blocked(t, name)
				ctx, cancel := context.WithCancel(t.Context())
				time.AfterFunc(time.Millisecond, cancel)
				if err := call(ctx); !errors.Is(err, context.Canceled) || !errdefs.IsCanceled(err) {
					t.Errorf("cancelled: %v", err)
				}
				<-ended
			})
		})
		t.Run(name+" deadline", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				call, ended := blocked(t, name)
				ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
				defer cancel()
				if err := call(ctx); !errors.Is(err, context.DeadlineExceeded) || !errdefs.IsDeadlineExceeded(err) {
					t.Errorf("past its deadline: %v", err)
				}
				<-ended
			})
		})
	}
}

// blocked is a call to an engine that works on it until its context ends, and
// then closes ended.
func blocked(t *testing.T, name string) (call func(context.Context) error, ended chan struct{}) {
	ended = make(chan struct{})
	c := connect(t, &scripted{do: func(ctx context.Context) error {
		<-ctx.Done()
		close(ended)
		return ctx.Err()
	}})
	return everyCall(c)[name], ended
}

func TestErrorsOfEveryCall(t *testing.T) {
	c := connect(t, &scripted{do: func(context.Context) error {
		return atom.Errorf(errdefs.ErrNotFound, "there is no such thing \xff")
	}})
	for name, call := range everyCall(c) {
		if err := call(t.Context()); !errdefs.IsNotFound(err) || err.Error() != "there is no such thing \uFFFD" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestPanicsOfEveryCall(t *testing.T) {
	var log bytes.Buffer
	c := connectLogging(t, &scripted{do: func(context.Context) error { panic("as asked") }}, hclog.New(&hclog.LoggerOptions{Output: &log}))
	for name, call := range everyCall(c) {
		log.Reset()
		if err := call(t.Context()); !errdefs.IsInternal(err) || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), "as asked") {
			t.Errorf("%s: %v", name, err)
		}
		if told := log.String(); !strings.Contains(told, "method="+name) || !strings.Contains(told, "wire_test.go") {
			t.Errorf("%s: the log has no stack: %q", name, told)
		}
	}
}

func TestEngineOfSixMethods(t *testing.T) {
	c := connect(t, six{&scripted{do: func(context.Context) error { return nil }}})
	calls := everyCall(c)
	for _, name := range []string{"Lookup", "Delete", "Probe"} {
		if err := calls[name](t.Context()); !errdefs.IsNotImplemented(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := calls["Get"](t.Context()); err != nil {
		t.Errorf("Get: %v", err)
	}
}

func TestUnsendableText(t *testing.T) {
	c := connect(t, &scripted{do: func(context.Context) error { return nil }})
	_, err := c.Get(&atom.EngineGetRequest{ID: "\xff"})
	if !errdefs.IsInvalidArgument(err) || len(atom.AsFieldErrors(err)) != 1 {
		t.Errorf("Get: %v", err)
	}
	_, err = c.Create(&atom.EngineCreateRequest{Image: "x", Name: "\xff"})
	if !errdefs.IsInvalidArgument(err) {
		t.Errorf("Create: %v", err)
	}
	_, err = c.Logs(&atom.EngineLogsRequest{ID: "x", Stream: "stdin"})
	if !errdefs.IsInvalidArgument(err) {
		t.Errorf("Logs: %v", err)
	}
}

// TestListBeyondAMessage: more than a message takes, of atoms that are large
// themselves, and one whose backend says what is no text.
// finding is an engine that finds atoms when it is told to.
type finding struct {
	*scripted
	find func(r *atom.EngineListRequest, found func(atom.Atom) error) error
}

func (f *finding) StreamList(r *atom.EngineListRequest, found func(atom.Atom) error) error {
	return f.find(r, found)
}

// The first atom and the second come while the third is waited for, and the
// engine's error after all of them.
func TestAtomsComeAsTheyAreFound(t *testing.T) {
	const many = 3*256 + 7
	e := &finding{scripted: &scripted{}}
	here := make(chan int, many)
	e.find = func(r *atom.EngineListRequest, found func(atom.Atom) error) error {
		for n := range many {
			if err := found(atom.New(atom.Info{ID: strconv.Itoa(n)}, e)); err != nil {
				return err
			}
			if n < 2 {
				select {
				case got := <-here:
					if got != n {
						t.Errorf("atom %d came before %d", got, n)
					}
				case <-r.Context.Done():
					return r.Context.Err()
				}
			}
		}
		return atom.Errorf(errdefs.ErrUnavailable, "that was not all")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	client, n := connect(t, e), 0
	err := client.StreamList(&atom.EngineListRequest{Context: ctx}, func(a atom.Atom) error {
		if a.ID() != strconv.Itoa(n) || a.Engine() != client {
			t.Fatalf("atom %d is %s of %v", n, a.ID(), a.Engine())
		}
		here <- n
		n++
		return nil
	})
	if n != many || !errdefs.IsUnavailable(err) || err.Error() != "that was not all" {
		t.Errorf("%d atoms, %v", n, err)
	}
}

// Whoever has enough ends the engine's search.
func TestEnoughAtoms(t *testing.T) {
	e := &finding{scripted: &scripted{}}
	ended := make(chan struct{})
	e.find = func(r *atom.EngineListRequest, found func(atom.Atom) error) error {
		defer close(ended)
		for {
			if err := found(atom.New(atom.Info{ID: "x"}, e)); err != nil {
				return err
			}
		}
	}
	enough, n := errors.New("enough"), 0
	err := connect(t, e).StreamList(&atom.EngineListRequest{Context: t.Context()}, func(atom.Atom) error {
		if n++; n == 1000 {
			return enough
		}
		return nil
	})
	if err != enough || n != 1000 {
		t.Errorf("%v after %d", err, n)
	}
	<-ended
}

// What an engine found before it panicked comes, and then Internal.
func TestPanicWhileFinding(t *testing.T) {
	e := &finding{scripted: &scripted{}, find: func(_ *atom.EngineListRequest, found func(atom.Atom) error) error {
		_ = found(atom.New(atom.Info{ID: "x"}, nil))
		_ = found(atom.New(atom.Info{ID: "y"}, nil))
		panic("oh")
	}}
	n := 0
	err := connect(t, e).StreamList(&atom.EngineListRequest{Context: t.Context()}, func(atom.Atom) error { n++; return nil })
	if n != 2 || !errdefs.IsInternal(err) {
		t.Errorf("%d atoms, %v", n, err)
	}
}

func TestListBeyondAMessage(t *testing.T) {
	large := strings.Repeat("x", 1<<20)
	e := &scripted{do: func(context.Context) error { return atom.Errorf(errdefs.ErrUnavailable, "b: did not answer") }}
	for range MaxMessageBytes>>20 + 6 {
		e.list = append(e.list, atom.New(atom.Info{ID: "x", Labels: map[string]string{"large": large}}, e))
	}
	e.list = append(e.list, atom.New(atom.Info{ID: "last", Message: "odd \xff", Labels: map[string]string{"\xfe": "\xff"}}, e))
	atoms, err := connect(t, e).List(&atom.EngineListRequest{Context: t.Context()})
	if !errdefs.IsUnavailable(err) || len(atoms) != len(e.list) {
		t.Fatalf("%d atoms of %d, and %v", len(atoms), len(e.list), err)
	}
	last := atom.InfoOf(atoms[len(atoms)-1])
	if last.ID != "last" || last.Message != "odd \uFFFD" || last.Labels["\uFFFD"] != "\uFFFD" {
		t.Errorf("the last one became %+v", last)
	}
}

// source is a LogSource of chunks; after them it fails with err, or blocks
// until it is closed.
type source struct {
	chunks []atom.LogChunk
	err    error
	taken  atomic.Int64 // bytes handed out
	closed chan struct{}
	once   sync.Once
}

func newSource(err error, chunks ...atom.LogChunk) *source {
	return &source{chunks: chunks, err: err, closed: make(chan struct{})}
}

func (s *source) Next() (atom.LogChunk, error) {
	if len(s.chunks) == 0 {
		if s.err == nil {
			<-s.closed
			return atom.LogChunk{}, io.ErrClosedPipe
		}
		return atom.LogChunk{}, s.err
	}
	c := s.chunks[0]
	s.chunks = s.chunks[1:]
	s.taken.Add(int64(len(c.Data)))
	return c, nil
}

func (s *source) Close() error {
	s.once.Do(func() { close(s.closed) })
	return nil
}

// lender is a source that overwrites what it lent.
type lender struct {
	*source
	lent []byte
}

func (l *lender) Lend() (atom.LogChunk, error) {
	for i := range l.lent {
		l.lent[i] = '!'
	}
	c, err := l.Next()
	l.lent = append(l.lent[:0], c.Data...)
	c.Data = l.lent
	return c, err
}

// What a source lends, and what a client lends of it, arrives as it was; what a
// client gives stays as it is.
func TestLentLogs(t *testing.T) {
	var sent []atom.LogChunk
	var want strings.Builder
	for i := range 3000 {
		text := strings.Repeat(string(rune('a'+i%26)), i*31%700) + "\n"
		if i%100 == 0 {
			text = strings.Repeat(text, 200)
		}
		sent = append(sent, atom.LogChunk{Stream: atom.Stdout, Data: []byte(text), Cursor: "c"})
		want.WriteString(text)
	}
	for _, timestamps := range []bool{false, true} {
		open := func() *atom.LogReader {
			return logsOf(t, atom.NewLogReader(&lender{source: newSource(io.EOF, slices.Clone(sent)...)}, false), atom.EngineLogsRequest{Timestamps: timestamps})
		}
		var copied strings.Builder
		if err := atom.CopyLogs(&copied, &copied, open()); err != nil || copied.String() != want.String() {
			t.Errorf("copied %d bytes of %d, or others; %v", copied.Len(), want.Len(), err)
		}
		var kept []atom.LogChunk
		for r := open(); ; {
			c, err := r.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			kept = append(kept, c)
		}
		var text strings.Builder
		for _, c := range kept {
			text.Write(c.Data)
		}
		if text.String() != want.String() {
			t.Error("what Next gave has changed")
		}
	}
}

func logsOf(t *testing.T, logs io.ReadCloser, r atom.EngineLogsRequest) *atom.LogReader {
	t.Helper()
	r.ID = "x"
	if r.Context == nil {
		r.Context = t.Context()
	}
	reader, err := connect(t, &scripted{logs: logs}).Logs(&r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { reader.Close() })
	return reader.(*atom.LogReader)
}

func TestChunksKeepStreamTimeAndCursor(t *testing.T) {
	at := func(s int64) time.Time { return time.Unix(s, 7).UTC() }
	sent := []atom.LogChunk{
		{Stream: atom.Stdout, Time: at(1), Data: []byte("one\n"), Cursor: "1"},
		{Stream: atom.Stdout, Time: at(2), Data: []byte("two\n"), Cursor: "2"},
		{Stream: atom.Stderr, Time: at(3), Data: []byte{0, 0xff, '\n'}, Cursor: "3"},
		{Data: []byte("unknown"), Cursor: "4"},
	}
	collect := func(r *atom.LogReader) (got []atom.LogChunk, err error) {
		for {
			c, err := r.Next()
			if err != nil {
				return got, err
			}
			got = append(got, c)
		}
	}
	got, err := collect(logsOf(t, atom.NewLogReader(newSource(io.EOF, sent...), false), atom.EngineLogsRequest{Timestamps: true}))
	if err != io.EOF || len(got) != len(sent) {
		t.Fatalf("got %d chunks, %v", len(got), err)
	}
	for i, c := range got {
		if w := sent[i]; c.Stream != w.Stream || !c.Time.Equal(w.Time) || string(c.Data) != string(w.Data) || c.Cursor != w.Cursor {
			t.Errorf("%+v became %+v", w, c)
		}
	}
	// Without timestamps neighbours of one stream may travel as one chunk,
	// which is resumed after its last part.
	got, err = collect(logsOf(t, atom.NewLogReader(newSource(io.EOF, sent...), false), atom.EngineLogsRequest{}))
	var text, cursors string
	for _, c := range got {
		text += string(c.Stream) + ":" + string(c.Data)
		cursors = c.Cursor
	}
	text = strings.ReplaceAll(text, "one\nstdout:two", "one\ntwo")
	if err != io.EOF || cursors != "4" || text != "stdout:one\ntwo\nstderr:\x00\xff\n:unknown" {
		t.Errorf("got %q, the last cursor %q, %v", text, cursors, err)
	}
}

func TestMergedLogsKeepEveryByte(t *testing.T) {
	var want strings.Builder
	var chunks []atom.LogChunk
	for i := range 5000 {
		size := i * 37 % 1000
		if i%500 == 0 {
			size = 100 << 10 // more than a message
		}
		data := []byte(strings.Repeat(string(rune('a'+i%26)), size) + "\n")
		want.Write(data)
		// Room behind the data belongs to the source.
		shared := append(data, "not to be overwritten"...)
		chunks = append(chunks, atom.LogChunk{Stream: atom.Stdout, Data: shared[:len(data)]})
	}
	got, err := io.ReadAll(logsOf(t, atom.NewLogReader(newSource(io.EOF, chunks...), false), atom.EngineLogsRequest{}))
	if err != nil || string(got) != want.String() {
		t.Errorf("got %d bytes of %d, %v", len(got), want.Len(), err)
	}
	for i, c := range chunks {
		if tail := string(c.Data[len(c.Data) : len(c.Data)+21]); tail != "not to be overwritten" {
			t.Fatalf("the room behind chunk %d became %q", i, tail)
		}
	}
}

func TestLogsEndWithTheSourcesError(t *testing.T) {
	r := logsOf(t, atom.NewLogReader(newSource(atom.Errorf(errdefs.ErrDataLoss, "rotated away"), atom.LogChunk{Data: []byte("kept")}), false), atom.EngineLogsRequest{})
	got, err := io.ReadAll(r)
	if string(got) != "kept" || !errdefs.IsDataLoss(err) {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestPlainReaders(t *testing.T) {
	got, err := io.ReadAll(logsOf(t, io.NopCloser(strings.NewReader("as it is")), atom.EngineLogsRequest{}))
	if string(got) != "as it is" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
}

// TestQuietLogs: what was written arrives though nothing follows it, and Close
// ends both ends at once.
func TestQuietLogs(t *testing.T) {
	s := newSource(nil, atom.LogChunk{Data: []byte("alone")})
	r := logsOf(t, atom.NewLogReader(s, false), atom.EngineLogsRequest{})
	if c, err := r.Next(); string(c.Data) != "alone" || err != nil {
		t.Fatalf("got %q, %v", c.Data, err)
	}
	go r.Close() // ends at once
	if _, err := r.Next(); err != atom.ErrLogsClosed {
		t.Errorf("after Close: %v", err)
	}
	<-s.closed
}

func TestLogsEndWithTheirContext(t *testing.T) {
	s := newSource(nil)
	ctx, cancel := context.WithCancel(t.Context())
	r := logsOf(t, atom.NewLogReader(s, false), atom.EngineLogsRequest{Context: ctx})
	cancel()
	if _, err := r.Next(); !errors.Is(err, context.Canceled) {
		t.Errorf("ended with %v", err)
	}
	<-s.closed
}

// TestSlowReader: a source is asked for no more than what fits between it and
// a reader that does not read, also where its chunks are tiny.
func TestSlowReader(t *testing.T) {
	for name, size := range map[string]int{"lines": 200, "bytes": 1, "large chunks": 64 << 10} {
		t.Run(name, func(t *testing.T) {
			const most = 2 << 20
			total := 8 << 20
			if size == 1 {
				total = 128 << 10 // each of them costs more than itself
			}
			chunks := make([]atom.LogChunk, total/size)
			total = len(chunks) * size
			for i := range chunks {
				chunks[i].Data = make([]byte, size)
			}
			s := newSource(io.EOF, chunks...)
			r := logsOf(t, atom.NewLogReader(s, false), atom.EngineLogsRequest{Timestamps: true})
			if _, err := r.Next(); err != nil {
				t.Fatal(err)
			}
			// It stands still once it is asked for nothing more in a while.
			for last := int64(-1); last != s.taken.Load(); time.Sleep(100 * time.Millisecond) {
				last = s.taken.Load()
			}
			if taken := s.taken.Load(); taken > int64(min(most, total/2)) {
				t.Errorf("%d bytes were taken from the source while nobody read", taken)
			}
			var rest int
			for {
				c, err := r.Next()
				if err != nil {
					break
				}
				rest += len(c.Data)
			}
			if rest != total-size {
				t.Errorf("%d bytes were lost", total-size-rest)
			}
		})
	}
}

// panicky panics where it is told to.
type panicky struct{ next, close bool }

func (p *panicky) Next() (atom.LogChunk, error) {
	if p.next {
		panic("in Next")
	}
	return atom.LogChunk{}, io.EOF
}

func (p *panicky) Close() error {
	if p.close {
		panic("in Close")
	}
	return nil
}

func TestPanicsOfReaders(t *testing.T) {
	_, err := io.ReadAll(logsOf(t, atom.NewLogReader(&panicky{next: true}, false), atom.EngineLogsRequest{}))
	if !errdefs.IsInternal(err) || !strings.Contains(err.Error(), "in Next") {
		t.Errorf("a panic in Next: %v", err)
	}
	if _, err := io.ReadAll(logsOf(t, atom.NewLogReader(&panicky{close: true}, false), atom.EngineLogsRequest{})); err != nil {
		t.Errorf("a panic in Close: %v", err)
	}
}

// TestCreateThatNeverLeft: nothing can have come of it.
func TestCreateThatNeverLeft(t *testing.T) {
	conn, err := grpc.NewClient("passthrough:nowhere", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) { return nil, errors.New("nobody there") }))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, progress := range []func(atom.Progress){nil, func(atom.Progress) {}} {
		_, err = NewClient(conn).Create(&atom.EngineCreateRequest{Image: "x", Key: "k", Progress: progress})
		if unknown := (*atom.OutcomeUnknown)(nil); !errdefs.IsUnavailable(err) || errors.As(err, &unknown) {
			t.Errorf("progress: %v: got %v", progress != nil, err)
		}
	}
}

func TestLongErrors(t *testing.T) {
	long := strings.Repeat("ä", 20<<20)
	c := connect(t, &scripted{do: func(context.Context) error { return &atom.FieldError{Field: "x", Reason: long} }})
	_, err := c.Get(&atom.EngineGetRequest{ID: "x"})
	if fields := atom.AsFieldErrors(err); !errdefs.IsInvalidArgument(err) || len(fields) != 1 || len(err.Error()) > 16<<10 {
		t.Errorf("an error of 40 MiB became %.200v", err)
	}
}

// What routers say to one another of a Key, a router is sent and a plugin is
// not: it may compare whole messages.
func TestKeysOfRouters(t *testing.T) {
	e := &telling{scripted: scripted{do: fine}, tell: func(*atom.EngineCreateRequest) {}, seen: make(chan *atom.EngineCreateRequest, 1)}
	c := connect(t, e)
	for _, c.plain = range []bool{false, true} {
		r := &atom.EngineCreateRequest{Image: "x", Key: "k", FreshKey: true, AskedAgain: true}
		if _, err := c.Create(r); err != nil {
			t.Fatal(err)
		}
		if seen := <-e.seen; seen.FreshKey == c.plain || seen.AskedAgain == c.plain {
			t.Errorf("plain %v: the other side was sent %v and %v", c.plain, seen.FreshKey, seen.AskedAgain)
		}
		if !r.FreshKey || !r.AskedAgain {
			t.Error("the caller's request was changed")
		}
	}
}
