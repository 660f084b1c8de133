package watch

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/router"
)

// list makes atoms of words "a:1=running": an ID and a state, or "a:1=stopped/0"
// with an exit code.
func list(words string) []atom.Atom {
	var atoms []atom.Atom
	for _, w := range strings.Fields(words) {
		id, state, _ := strings.Cut(w, "=")
		state, result, _ := strings.Cut(state, "/")
		var n int
		fmt.Sscanf(id[strings.Index(id, ":")+1:], "%d", &n)
		info := atom.Info{ID: id, State: atom.State(state), CreatedAt: time.Unix(int64(n), 0)}
		if result != "" {
			code := int(result[0] - '0')
			info.ExitCode, info.Result = &code, atom.Failure
		}
		atoms = append(atoms, atom.New(info, nil))
	}
	return atoms
}

func words(infos []atom.Info) string {
	var all []string
	for _, i := range infos {
		text := i.ID + "=" + string(i.State)
		if i.ExitCode != nil {
			text += fmt.Sprintf("/%d", *i.ExitCode)
		}
		all = append(all, text)
	}
	return strings.Join(all, " ")
}

func partial(names ...string) error {
	p := &router.PartialError{}
	for _, n := range names {
		p.Failed = append(p.Failed, &atom.OpError{Op: "list", Backend: n, Err: errors.New("down")})
	}
	return &atom.OpError{Op: "list", Err: p}
}

func TestAtoms(t *testing.T) {
	var s Atoms
	for n, step := range []struct {
		list         string
		err          error
		changed, all string
		away, back   string
	}{
		{list: "a:1=running b:2=created", changed: "a:1=running b:2=created", all: "a:1=running b:2=created"},
		{list: "a:1=running b:2=created", all: "a:1=running b:2=created"},
		{list: "a:1=running b:2=running a:3=created", changed: "b:2=running a:3=created", all: "a:1=running b:2=running a:3=created"},
		// One does not answer: its atoms are as they were, and it is told once.
		{list: "a:1=stopped/7 a:3=created", err: partial("b"), changed: "a:1=stopped/7", away: "list on b: down", all: "a:1=stopped/7 b:2=running a:3=created"},
		{list: "a:1=stopped/7 a:3=created", err: partial("b"), all: "a:1=stopped/7 b:2=running a:3=created"},
		{err: partial("a", "b"), away: "list on a: down", all: "a:1=stopped/7 b:2=running a:3=created"},
		{list: "b:2=running", err: partial("a"), back: "b", all: "a:1=stopped/7 b:2=running a:3=created"},
		// What is gone is told with what was known of it.
		{changed: "a:1=deleted/7 b:2=deleted a:3=deleted", back: "a"},
		{},
		{list: "a:1=running", changed: "a:1=running", all: "a:1=running"},
		// Nobody answers.
		{err: errors.New("no connection"), away: "no connection", all: "a:1=running"},
		{err: errors.New("still none"), all: "a:1=running"},
		{list: "a:1=stopped/1", changed: "a:1=stopped/1", back: "", all: "a:1=stopped/1"},
		{list: "a:1=stopped/2", changed: "a:1=stopped/2", all: "a:1=stopped/2"},
	} {
		got := s.Look(list(step.list), step.err)
		var away []string
		for _, err := range got.Away {
			away = append(away, err.Error())
		}
		if words(got.Changed) != step.changed || strings.Join(away, "; ") != step.away || strings.Join(got.Back, " ") != step.back {
			t.Errorf("%d: changed %q, away %q, back %q", n, words(got.Changed), away, got.Back)
		}
		if none := step.changed == "" && step.away == "" && len(got.Back) == 0; got.None() != none {
			t.Errorf("%d: none: %v", n, got.None())
		}
		if all := words(s.All()); all != step.all {
			t.Errorf("%d: all %q, want %q", n, all, step.all)
		}
	}
}

// Each field that changes in an atom's life is a change.
func TestSame(t *testing.T) {
	zero, one := 0, 1
	now := time.Now()
	base := atom.Info{ID: "x", State: atom.Running}
	for name, change := range map[string]func(*atom.Info){
		"state": func(i *atom.Info) { i.State = atom.Stopping }, "result": func(i *atom.Info) { i.Result = atom.Killed },
		"code": func(i *atom.Info) { i.ExitCode = &zero }, "message": func(i *atom.Info) { i.Message = "why" },
		"started": func(i *atom.Info) { i.StartedAt = now }, "stopped": func(i *atom.Info) { i.StoppedAt = now },
	} {
		other := base
		change(&other)
		if same(base, other) {
			t.Errorf("%s does not count", name)
		}
	}
	a, b := base, base
	a.ExitCode, b.ExitCode = &zero, &one
	if same(a, b) {
		t.Error("another code does not count")
	}
	b.ExitCode, b.StartedAt = new(int), now.UTC()
	a.StartedAt = now.In(time.FixedZone("", 3600))
	if !same(a, b) {
		t.Error("the same is a change")
	}
}

func TestBackends(t *testing.T) {
	status := func(name string, state router.BackendState) router.BackendStatus {
		return router.BackendStatus{Name: name, State: state, LastError: errors.New("word " + time.Now().String())}
	}
	var s Backends
	for n, step := range []struct{ now, changed []router.BackendStatus }{
		{[]router.BackendStatus{status("a", router.Ready), status("b", router.Degraded)}, []router.BackendStatus{{Name: "a", State: router.Ready}, {Name: "b", State: router.Degraded}}},
		{[]router.BackendStatus{status("a", router.Ready), status("b", router.Degraded)}, nil},
		{[]router.BackendStatus{status("a", router.Ready), status("b", router.Ready), status("c", router.Idle)}, []router.BackendStatus{{Name: "b", State: router.Ready}, {Name: "c", State: router.Idle}}},
		{[]router.BackendStatus{status("b", router.Ready), {Name: "c", State: router.Idle, Drain: true}}, []router.BackendStatus{{Name: "c", State: router.Idle, Drain: true}, {Name: "a", State: Removed}}},
		{[]router.BackendStatus{status("b", router.Ready), {Name: "c", State: router.Idle, Drain: true, Restarts: 1}}, []router.BackendStatus{{Name: "c", State: router.Idle, Drain: true, Restarts: 1}}},
	} {
		got := s.Look(step.now)
		for i := range got {
			got[i].LastError = nil
		}
		if diff := cmp.Diff(step.changed, got); diff != "" {
			t.Errorf("%d: -want +got:\n%s", n, diff)
		}
	}
}

func TestPace(t *testing.T) {
	var p Pace
	for n, step := range []struct {
		changed    bool
		took, want time.Duration
	}{
		{false, 0, time.Second}, {false, 0, 1500 * time.Millisecond}, {false, 0, 2250 * time.Millisecond}, {false, 3 * time.Second, 3375 * time.Millisecond},
		{false, 0, 5 * time.Second}, {false, 0, 5 * time.Second}, {false, 20 * time.Second, 20 * time.Second}, {true, 0, time.Second}, {true, 2 * time.Second, 2 * time.Second},
	} {
		if got := p.Next(step.changed, step.took); got != step.want {
			t.Errorf("%d: %v, want %v", n, got, step.want)
		}
	}
}
