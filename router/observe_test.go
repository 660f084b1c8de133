package router

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"

	"github.com/atom-router/atom-router/atom"
)

// notes is an Observer that writes down what it is told.
type notes struct {
	mu   sync.Mutex
	list []string
}

type noted struct{} // the key of what Call puts into contexts

func (n *notes) add(format string, args ...any) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.list = append(n.list, fmt.Sprintf(format, args...))
}

func (n *notes) take() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	list := n.list
	n.list = nil
	return list
}

func (n *notes) Call(ctx context.Context, op, backend string) (context.Context, Ended) {
	n.add("%s began on %q", op, backend)
	return context.WithValue(ctx, noted{}, op), func(backend, id string, err error) {
		n.add("%s ended on %q, %q: %s", op, backend, id, class(err))
	}
}

func (n *notes) Decided(ctx context.Context, rule string, rejected bool) {
	n.add("rule %s rejected %v in %v", rule, rejected, ctx.Value(noted{}))
}

func (n *notes) FellBack(_ context.Context, rule, backend string, cause Cause) {
	n.add("rule %s fell back from %s: %s", rule, backend, cause)
}

func (n *notes) Resumed(ctx context.Context, op, backend string) {
	n.add("%s resumed on %s in %v", op, backend, ctx.Value(noted{}))
}

func (n *notes) LogBytes(backend string, bytes int) { n.add("%d bytes of %s", bytes, backend) }

func observed(t *testing.T, c Config) (*Engine, *notes) {
	t.Helper()
	e, n := newEngine(t, c), &notes{}
	e.options.Observer = n
	return e, n
}

func TestObserver(t *testing.T) {
	text := &fake{logs: func(*atom.EngineLogsRequest) (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader("hello")), nil
	}}
	down := &fake{create: fails(errDown), get: func(r *atom.EngineGetRequest) error {
		if r.Context.Value(noted{}) != "get" {
			t.Error("the engine's context is not of the observer's")
		}
		return errBad
	}}
	full := &fake{create: fails(errFull)}
	c := Config{Backends: backends(down, full, text), Rules: []Rule{
		{Name: "no", Match: Match{Image: patternList(t, "bad*")}, Reject: "no"},
		{Name: "fall", Tiers: tiers("a", "b", "c")},
	}, Default: Rule{Reject: "no"}}
	e, n := observed(t, c)
	var id string
	expect := func(what string, want ...string) {
		t.Helper()
		got := n.take()
		for i := range got {
			if id != "" {
				got[i] = strings.ReplaceAll(got[i], id, "ID")
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}

	a, err := e.Create(&atom.EngineCreateRequest{Image: "x"})
	if err != nil {
		t.Fatal(err)
	}
	id = a.ID()
	expect("create", `create began on ""`, "rule fall rejected false in create",
		"rule fall fell back from a: unavailable", "rule fall fell back from b: full", `create ended on "c", "ID": `)
	_, _ = e.Create(&atom.EngineCreateRequest{Image: "bad"})
	expect("rejected", `create began on ""`, "rule no rejected true in create", `create ended on "", "": permission denied`)
	_, _ = e.Create(&atom.EngineCreateRequest{})
	expect("invalid", `create began on ""`, `create ended on "", "": invalid argument`)

	_, _ = e.Get(&atom.EngineGetRequest{ID: "a:1"})
	expect("get", `get began on "a"`, `get ended on "a", "a:1": invalid argument`)
	_, _ = e.Get(&atom.EngineGetRequest{ID: "nowhere:1"})
	expect("get of no backend", `get began on ""`, `get ended on "", "nowhere:1": not found`)

	_ = e.Stop(&atom.EngineStopRequest{ID: id})
	expect("stop", `stop began on "c"`, `stop ended on "c", "ID": `)
	_, _ = e.Wait(&atom.EngineWaitRequest{ID: id})
	expect("wait", `wait began on "c"`, `wait ended on "c", "ID": `)

	logs, err := e.Logs(&atom.EngineLogsRequest{ID: id})
	if err != nil {
		t.Fatal(err)
	}
	expect("logs", `logs began on "c"`)
	if _, err := io.ReadAll(logs); err != nil {
		t.Error(err)
	}
	expect("logs read", "5 bytes of c", `logs ended on "c", "ID": `)
	logs.Close()
	expect("logs closed after that")
	if logs, err = e.Logs(&atom.EngineLogsRequest{ID: id}); err != nil {
		t.Fatal(err)
	}
	logs.Close()
	expect("logs closed", `logs began on "c"`, `logs ended on "c", "ID": `)
	_, _ = e.Logs(&atom.EngineLogsRequest{ID: "malformed"})
	expect("malformed logs", `logs began on ""`, `logs ended on "", "malformed": invalid argument`)

	_, _ = e.Lookup(&atom.EngineLookupRequest{Key: "none"})
	expect("lookup", `lookup began on ""`, `lookup ended on "", "": not found`)
	_, _ = e.ListBackends(&atom.EngineListRequest{}, "c")
	expect("list", `list began on "c"`, `list ended on "c", "": `)
	_, _ = e.ListBackends(&atom.EngineListRequest{}, "x")
	expect("list of no backend", `list began on ""`, `list ended on "", "": not found`)
	_ = e.Delete(&atom.EngineDeleteRequest{ID: id})
	expect("delete", `delete began on "c"`, `delete ended on "c", "ID": `)
}

func TestObserverOfLists(t *testing.T) {
	e, n := observed(t, Config{
		Backends: backends(with("k"), &fake{list: func(*atom.EngineListRequest) error { return errDown }}), Default: Rule{Tiers: tiers("a")},
	})
	_, _ = e.List(&atom.EngineListRequest{})
	got := n.take()
	slices.Sort(got) // both are asked at once
	want := []string{`list began on "a"`, `list began on "b"`, `list ended on "a", "": `, `list ended on "b", "": unavailable`}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestObserverOfResumptions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &plug{}
		f := with("k")
		lost := 0
		f.wait = func(*atom.EngineWaitRequest) error {
			if lost++; lost <= 2 {
				p.kill()
				return errDown
			}
			return nil
		}
		f.logs = func(*atom.EngineLogsRequest) (io.ReadCloser, error) {
			if lost++; lost == 4 {
				p.kill()
				return atom.NewLogReader(failing{}, false), nil
			}
			return io.NopCloser(strings.NewReader("ab")), nil
		}
		p.engine = f
		e := plugged(t, p)
		defer e.Close()
		n := &notes{}
		e.options.Observer = n
		id := "a:" + f.atoms[0].ID
		f.atoms[0].State = atom.Stopped
		if _, err := e.Wait(&atom.EngineWaitRequest{ID: id}); err != nil {
			t.Error(err)
		}
		logs, err := e.Logs(&atom.EngineLogsRequest{ID: id})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAll(logs); err != nil {
			t.Error(err)
		}
		logs.Close()
		want := []string{
			`wait began on "a"`, "wait resumed on a in wait", "wait resumed on a in wait", `wait ended on "a", "` + id + `": `,
			`logs began on "a"`, "logs resumed on a in logs", "2 bytes of a", `logs ended on "a", "` + id + `": `,
		}
		if diff := cmp.Diff(want, n.take()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

// failing is a log whose plugin is gone.
type failing struct{}

func (failing) Next() (atom.LogChunk, error) { return atom.LogChunk{}, errDown }
func (failing) Close() error                 { return nil }

// The end of a stream is told when its reader is woken by its context, too.
func TestObserverOfLogsWhoseReaderIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{logs: func(r *atom.EngineLogsRequest) (io.ReadCloser, error) {
			pr, _ := io.Pipe()
			context.AfterFunc(r.Context, func() { pr.CloseWithError(errdefs.ErrUnavailable) })
			return pr, nil
		}}
		e, n := observed(t, Config{Backends: backends(f), Default: Rule{Tiers: tiers("a")}})
		defer e.Close()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := e.Logs(&atom.EngineLogsRequest{ID: "a:1", Context: ctx}); err != nil {
			t.Fatal(err)
		}
		<-ctx.Done()
		synctest.Wait()
		want := []string{`logs began on "a"`, `logs ended on "a", "a:1": context deadline exceeded`}
		if diff := cmp.Diff(want, n.take()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

// Who observes nothing pays nothing.
func TestNoObserverCostsNothing(t *testing.T) {
	e := newEngine(t, Config{Backends: backends(with("k")), Default: Rule{Tiers: tiers("a")}})
	b := e.now.backends[0]
	err := error(errdefs.ErrNotFound)
	if n := testing.AllocsPerRun(100, func() {
		_, ended := e.observe(t.Context(), "get", b)
		ended(b.name(), "a:1", err)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
