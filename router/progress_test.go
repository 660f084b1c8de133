package router

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/atom/container"
)

func TestProgressOfAFailOver(t *testing.T) {
	pulls := func(err error) *fake {
		return &fake{create: func(r *atom.EngineCreateRequest) error {
			r.Report(atom.Progress{Phase: atom.PhasePulling, Text: "pulling x", Done: 1, Total: 2})
			return err
		}}
	}
	a, b, c, d := pulls(errDown), &fake{can: atom.Capabilities{atom.CapMountBind}}, pulls(errFull), &fake{}
	d.create = func(r *atom.EngineCreateRequest) error {
		r.Report(atom.Progress{Backend: "docker", Phase: atom.PhaseUnpacking})
		return nil
	}
	e := newEngine(t, Config{Backends: backends(a, b, c, d), Default: Rule{Tiers: tiers("a", "b", "c", "d")}})
	var got []atom.Progress
	made, err := e.Create(&atom.EngineCreateRequest{Image: "x", Spec: container.Spec{User: "1"}, Progress: func(p atom.Progress) { got = append(got, p) }})
	if err != nil || made.ID() != "d:ns/a1:x" {
		t.Fatal(made, err)
	}
	want := []atom.Progress{
		{Backend: "a", Phase: atom.PhasePulling, Text: "pulling x", Done: 1, Total: 2},
		{Backend: "a", Phase: atom.PhasePassedOver, Text: "unavailable (daemon down), trying b"},
		{Backend: "b", Phase: atom.PhasePassedOver, Text: "cannot do user, trying c"},
		{Backend: "c", Phase: atom.PhasePulling, Text: "pulling x", Done: 1, Total: 2},
		{Backend: "c", Phase: atom.PhasePassedOver, Text: "full (no room), trying d"},
		{Backend: "d:docker", Phase: atom.PhaseUnpacking},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if _, err := e.Create(&atom.EngineCreateRequest{Image: "x"}); err != nil {
		t.Fatal(err)
	}
	if seen := b.seen[0]; seen.Progress != nil {
		t.Error("a backend is to tell a caller who did not ask")
	}
}
