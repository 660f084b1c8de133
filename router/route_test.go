package router

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"

	"github.com/atom-router/atom-router/atom"
)

// one returns a router over f as backend "a", and the ID of its only atom.
func one(t *testing.T, f *fake) (*Engine, string) {
	t.Helper()
	e := newEngine(t, Config{Backends: backends(f), Default: Rule{Tiers: tiers("a")}})
	a, err := e.Create(&atom.EngineCreateRequest{Image: "x", Key: "k"})
	if err != nil {
		t.Fatal(err)
	}
	return e, a.ID()
}

func TestPrefix(t *testing.T) {
	e, _ := one(t, &fake{logs: func(*atom.EngineLogsRequest) (io.ReadCloser, error) {
		return nil, atom.Errorf(errdefs.ErrNotFound, "gone")
	}})
	id := "a:none"
	_, err := e.Get(&atom.EngineGetRequest{ID: id})
	errs := map[string]error{
		`get a:none: no atom "none" of owner "default"`:                      err,
		`stop a:none: no atom "none" of owner "default"`:                     e.Stop(&atom.EngineStopRequest{ID: id}),
		`delete a:none: no atom "none" of owner "default"`:                   e.Delete(&atom.EngineDeleteRequest{ID: id}),
		`lookup: no backend has an atom of owner "default" under key "none"`: second(e.Lookup(&atom.EngineLookupRequest{Key: "none"})),
		`logs a:none: gone`: second(e.Logs(&atom.EngineLogsRequest{ID: id})),
	}
	for want, err := range errs {
		var op *atom.OpError
		if err == nil || err.Error() != want || !errdefs.IsNotFound(err) || !errors.As(err, &op) {
			t.Errorf("%v; want a NotFound *OpError: %s", err, want)
		}
	}
	// A router behind a router: IDs nest, prefixes do not.
	outer := newEngine(t, Config{Backends: []Backend{{Name: "edge", Engine: e}}, Default: Rule{Tiers: tiers("edge")}})
	_, err = outer.Get(&atom.EngineGetRequest{ID: "edge:a:none"})
	if want := `get edge:a:none: no atom "none" of owner "default"`; err == nil || err.Error() != want {
		t.Errorf("nested: %v; want %s", err, want)
	}
	a, err := outer.Create(&atom.EngineCreateRequest{Image: "x"})
	if err != nil || !strings.HasPrefix(a.ID(), "edge:a:ns/") || a.Engine() != atom.Engine(outer) {
		t.Errorf("nested: %v, %v", a, err)
	}
}

func second[T any](_ T, err error) error { return err }

func TestOwnerOfRequests(t *testing.T) {
	var got []string
	f := &fake{get: func(r *atom.EngineGetRequest) error { got = append(got, r.Owner); return nil }}
	e := newEngine(t, Config{Owner: "fleet", Backends: backends(f), Default: Rule{Tiers: tiers("a")}})
	for _, owner := range []string{"", "someone"} {
		e.Get(&atom.EngineGetRequest{ID: "a:1", Owner: owner})
	}
	if diff := cmp.Diff([]string{"fleet", "someone"}, got); diff != "" {
		t.Error(diff)
	}
	if _, err := e.Get(&atom.EngineGetRequest{ID: "a:1", Owner: "no owner"}); !errdefs.IsInvalidArgument(err) {
		t.Errorf("a bad owner: %v", err)
	}
}

func TestContextEndsCalls(t *testing.T) {
	e, id := one(t, &fake{})
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(10*time.Millisecond, cancel)
	_, err := e.Wait(&atom.EngineWaitRequest{ID: id, Context: ctx})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Wait: %v", err)
	}
}

func TestLacking(t *testing.T) {
	f := &fake{can: atom.Capabilities{atom.CapImages}}
	e := newEngine(t, Config{Backends: backends(f, bare{f}), Default: Rule{Tiers: tiers("a", "b")}})
	for want, err := range map[string]error{
		`logs a:1: backend "a" cannot do what the request needs: log_streams`: second(e.Logs(&atom.EngineLogsRequest{ID: "a:1", Stream: atom.Stderr})),
		`delete b:1: backend "b" cannot do what the request needs: delete`:    e.Delete(&atom.EngineDeleteRequest{ID: "b:1"}),
	} {
		if err == nil || err.Error() != want || !errdefs.IsNotImplemented(err) {
			t.Errorf("%v; want NotImplemented: %s", err, want)
		}
	}
	if n := f.asked("logs") + f.asked("delete"); n > 0 {
		t.Errorf("the engine was asked %d times all the same", n)
	}
}

// script is a LogSource that yields what it is made of.
type script struct {
	chunks []atom.LogChunk
	err    error
	closed chan struct{}
}

func (s *script) Next() (atom.LogChunk, error) {
	if len(s.chunks) == 0 {
		if s.err == nil {
			<-s.closed
			return atom.LogChunk{}, errors.New("closed under Next")
		}
		return atom.LogChunk{}, s.err
	}
	c := s.chunks[0]
	s.chunks = s.chunks[1:]
	return c, nil
}

func (s *script) Close() error { close(s.closed); return nil }

func TestLogsPassThrough(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	chunks := []atom.LogChunk{
		{Stream: atom.Stdout, Time: at, Data: []byte("one\ntw"), Cursor: "c1"},
		{Stream: atom.Stderr, Time: at, Data: []byte("err\n"), Cursor: "c2"},
	}
	for _, end := range []error{io.EOF, atom.Errorf(errdefs.ErrDataLoss, "rotated")} {
		f := &fake{logs: func(r *atom.EngineLogsRequest) (io.ReadCloser, error) {
			return atom.NewLogReader(&script{chunks: chunks, err: end, closed: make(chan struct{})}, r.Timestamps), nil
		}}
		e, id := one(t, f)
		logs, err := e.Logs(&atom.EngineLogsRequest{ID: id, Timestamps: true})
		if err != nil {
			t.Fatal(err)
		}
		r := logs.(*atom.LogReader)
		for _, want := range chunks {
			got, err := r.Next()
			if err != nil || &got.Data[0] != &want.Data[0] {
				t.Fatalf("%v, or the data was copied", err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		}
		_, err = r.Next()
		if end == io.EOF {
			if err != io.EOF {
				t.Errorf("end: %v, want io.EOF itself", err)
			}
		} else if !errdefs.IsDataLoss(err) || err.Error() != "logs "+id+": rotated" {
			t.Errorf("end: %v", err)
		}

		logs, err = e.Logs(&atom.EngineLogsRequest{ID: id, Timestamps: true})
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(logs)
		stamp := "2026-01-02T03:04:05.000000006Z "
		if want := stamp + "one\n" + stamp + "tw" + stamp + "err\n"; string(text) != want {
			t.Errorf("Read gave %q, want %q", text, want)
		}
	}
}

func TestLogsClose(t *testing.T) {
	f := &fake{logs: func(r *atom.EngineLogsRequest) (io.ReadCloser, error) {
		return atom.NewLogReader(&script{closed: make(chan struct{})}, false), nil
	}}
	e, id := one(t, f)
	logs, err := e.Logs(&atom.EngineLogsRequest{ID: id})
	if err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(10*time.Millisecond, func() { logs.Close() })
	if _, err := io.ReadAll(logs); err != atom.ErrLogsClosed {
		t.Errorf("%v, want ErrLogsClosed", err)
	}
	if err := logs.Close(); err != nil {
		t.Error(err)
	}
}

func TestLogsOfPlainReader(t *testing.T) {
	f := &fake{logs: func(r *atom.EngineLogsRequest) (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader("2026 has its stamp\n")), nil
	}}
	e, id := one(t, f)
	logs, err := e.Logs(&atom.EngineLogsRequest{ID: id, Timestamps: true})
	if err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(logs); string(text) != "2026 has its stamp\n" || err != nil {
		t.Errorf("%q, %v", text, err)
	}
}

func TestClosedRouter(t *testing.T) {
	e, id := one(t, &fake{})
	for range 2 {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	}
	for _, err := range []error{
		second(e.Get(&atom.EngineGetRequest{ID: id})),
		second(e.Create(&atom.EngineCreateRequest{Image: "x"})),
		second(e.List(&atom.EngineListRequest{})),
		second(e.Lookup(&atom.EngineLookupRequest{Key: "k"})),
	} {
		if !errdefs.IsUnavailable(err) || !strings.Contains(err.Error(), "the router is closed") {
			t.Errorf("after Close: %v", err)
		}
	}
}

// A Logs under way when the router is closed was ended by that, not by its
// caller.
func TestClosedUnderLogs(t *testing.T) {
	asked := make(chan struct{})
	e, id := one(t, &fake{logs: func(r *atom.EngineLogsRequest) (io.ReadCloser, error) {
		close(asked)
		<-r.Context.Done()
		return nil, r.Context.Err()
	}})
	ended := make(chan error, 1)
	go func() { ended <- second(e.Logs(&atom.EngineLogsRequest{ID: id})) }() // ends with the router
	<-asked
	if err := e.Close(); err != nil {
		t.Error(err)
	}
	if err := <-ended; !errdefs.IsUnavailable(err) || !strings.Contains(err.Error(), "the router is closed") {
		t.Errorf("got %v", err)
	}
}
