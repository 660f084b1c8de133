package router

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"

	"github.com/atom-router/atom-router/atom"
)

func ids(atoms []atom.Atom) []string {
	var all []string
	for _, a := range atoms {
		all = append(all, a.ID())
	}
	return all
}

func TestList(t *testing.T) {
	at := func(s int) time.Time { return time.Unix(int64(s), 0) }
	a := &fake{atoms: []*atom.Info{{ID: "1", CreatedAt: at(1)}, {ID: "4", CreatedAt: at(4)}}}
	b := &fake{atoms: []*atom.Info{{ID: "2", CreatedAt: at(2)}, {ID: "3", CreatedAt: at(4)}}}
	down := &fake{list: func(*atom.EngineListRequest) error { return errDown }}
	e := newEngine(t, Config{Backends: backends(a, b, down), Default: Rule{Tiers: tiers("a b c")}})

	atoms, err := e.List(&atom.EngineListRequest{})
	if diff := cmp.Diff([]string{"a:1", "b:2", "a:4", "b:3"}, ids(atoms)); diff != "" {
		t.Error(diff)
	}
	var partial *PartialError
	if !errors.As(err, &partial) || len(partial.Failed) != 1 || partial.Failed[0].Backend != "c" || !errdefs.IsUnavailable(err) {
		t.Errorf("error %v", err)
	} else if want := "list: no answer from c: daemon down"; err.Error() != want {
		t.Errorf("error %q, want %q", err, want)
	}

	atoms, err = e.ListBackends(&atom.EngineListRequest{}, "b", "a")
	if diff := cmp.Diff([]string{"a:1", "b:2", "a:4", "b:3"}, ids(atoms)); diff != "" || err != nil {
		t.Error(err, diff)
	}
	if _, err = e.ListBackends(&atom.EngineListRequest{}, "a", "nope"); !errdefs.IsNotFound(err) {
		t.Errorf("an unknown backend: %v", err)
	}
}

func TestListDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hangs := &fake{list: func(r *atom.EngineListRequest) error { <-r.Context.Done(); return r.Context.Err() }}
		e := newEngine(t, Config{Backends: backends(with("k"), hangs), Default: Rule{Tiers: tiers("a b")}})
		began := time.Now()
		atoms, err := e.List(&atom.EngineListRequest{})
		if len(atoms) != 1 || !errdefs.IsUnavailable(err) || errdefs.IsDeadlineExceeded(err) {
			t.Errorf("%v, %v", ids(atoms), err)
		}
		if want := "list: no answer from b: no answer within 10s"; err != nil && err.Error() != want {
			t.Errorf("error %q, want %q", err, want)
		}
		if took := time.Since(began); took != 10*time.Second {
			t.Errorf("took %v", took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		atoms, err = e.List(&atom.EngineListRequest{Context: ctx})
		if atoms != nil || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the caller's deadline: %v, %v", ids(atoms), err)
		}
	})
}

func TestLookup(t *testing.T) {
	silent := &fake{lookup: func(*atom.EngineLookupRequest) error { return errDown }}
	e := newEngine(t, Config{Backends: backends(&fake{}, with("k"), silent, bare{&fake{}}), Default: Rule{Tiers: tiers("a b c d")}})
	a, err := e.Lookup(&atom.EngineLookupRequest{Key: "k"})
	if err != nil || a.ID() != "b:ns/a1:x" {
		t.Errorf("%v, %v", a, err)
	}
	if _, err = e.Lookup(&atom.EngineLookupRequest{Key: "other"}); !errdefs.IsUnavailable(err) || errdefs.IsNotFound(err) ||
		err.Error() != "lookup: no answer from c: daemon down" {
		t.Errorf("not found, with one silent: %v", err)
	}
	if _, err = e.Lookup(&atom.EngineLookupRequest{}); !errdefs.IsInvalidArgument(err) {
		t.Errorf("without a key: %v", err)
	}
}
