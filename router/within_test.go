package router

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/containerd/errdefs"

	"github.com/atom-router/atom-router/atom"
)

// A backend is told the caller's deadline and not the router's own, which ends
// the call all the same.
func TestGetDeadlines(t *testing.T) {
	var told time.Time
	f := with("k")
	f.get = func(r *atom.EngineGetRequest) error {
		told, _ = r.Context.Deadline()
		return nil
	}
	e := newEngine(t, Config{Backends: backends(f), Default: Rule{Tiers: tiers("a")}})
	get := func(ctx context.Context) error {
		_, err := e.Get(&atom.EngineGetRequest{ID: "a:" + f.atoms[0].ID, Context: ctx})
		return err
	}
	if err := get(t.Context()); err != nil || !told.IsZero() {
		t.Errorf("error %v, deadline %v; want none of either", err, told)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	if want, _ := ctx.Deadline(); get(ctx) != nil || told != want {
		t.Errorf("deadline %v, want the caller's, %v", told, want)
	}
	e, err := New(t.Context(), e.now.config, Options{AskTimeout: 10 * time.Millisecond, NoJanitor: true})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	get = func(ctx context.Context) error {
		_, err := e.Get(&atom.EngineGetRequest{ID: "a:" + f.atoms[0].ID, Context: ctx})
		return err
	}
	f.get = func(r *atom.EngineGetRequest) error {
		<-r.Context.Done()
		return r.Context.Err()
	}
	if err := get(t.Context()); !errdefs.IsUnavailable(err) || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v; want Unavailable, as nobody gave the call a deadline", err)
	}
}

// TestGetAllocations holds what the router adds to a Get of a plugin's atom.
func TestGetAllocations(t *testing.T) {
	f := with("k")
	quiet := still{f}
	e := newEngine(t, Config{Backends: backends(quiet), Default: Rule{Tiers: tiers("a")}})
	plugged := newInstance(quiet)
	plugged.done = make(chan struct{})
	e.now.backends[0].current.Store(plugged)
	req := &atom.EngineGetRequest{ID: "a:" + f.atoms[0].ID, Context: t.Context()}
	native := &atom.EngineGetRequest{ID: f.atoms[0].ID, Context: t.Context()}
	get := func(e atom.Engine, r *atom.EngineGetRequest) float64 {
		return testing.AllocsPerRun(100, func() {
			if _, err := e.Get(r); err != nil {
				t.Fatal(err)
			}
		})
	}
	// The request, the atom and its ID, and six for the bound on its time.
	if n := get(e, req) - get(quiet, native); n > 9 {
		t.Errorf("%v allocations; want at most 9", n)
	}
}
