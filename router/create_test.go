package router

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/atom/container"
)

func fails(err error) func(*atom.EngineCreateRequest) error {
	return func(*atom.EngineCreateRequest) error { return err }
}

var (
	errDown = atom.Errorf(errdefs.ErrUnavailable, "daemon down")
	errFull = atom.Errorf(errdefs.ErrResourceExhausted, "no room")
	errBad  = atom.Errorf(errdefs.ErrInvalidArgument, "bad image")
)

// class names an error's class as the wire would.
func class(err error) string {
	if err == nil {
		return ""
	}
	return errdefs.Resolve(err).Error()
}

func TestCreateFailover(t *testing.T) {
	unknown := &atom.OutcomeUnknown{Key: "k", Err: errors.New("connection reset")}
	silent := func(*atom.EngineLookupRequest) error { return errDown }
	noProbe := func() error { return errDown }
	for _, test := range []struct {
		name    string
		a, b, c *fake
		tiers   []Tier
		key     string
		dupes   bool
		change  func(*Config)

		want  string // backend of the atom
		class string
		text  string
		calls map[string]int // "a create": how many
	}{
		{name: "first", want: "a", calls: map[string]int{"b create": 0, "a lookup": 0}},
		{name: "unavailable", a: &fake{create: fails(errDown)}, want: "b"},
		{name: "daemon does not answer the probe", a: &fake{probe: noProbe}, want: "b", calls: map[string]int{"a create": 0}},
		{name: "the only one does not answer the probe", a: &fake{probe: noProbe}, tiers: tiers("a"),
			class: "unavailable", text: "create on a: daemon down"},
		{name: "full", a: &fake{create: fails(errFull)}, want: "b"},
		{name: "a mistake is not passed over", a: &fake{create: fails(errBad)},
			class: "invalid argument", text: "create on a: bad image", calls: map[string]int{"b create": 0}},
		{name: "unavailable where only full goes on", a: &fake{create: fails(errDown)},
			tiers: on(tiers("a", "b"), Full), class: "unavailable", calls: map[string]int{"b create": 0}},
		{name: "full where only full goes on", a: &fake{create: fails(errFull)}, tiers: on(tiers("a", "b"), Full), want: "b"},
		{name: "all unavailable", a: &fake{create: fails(errDown)}, b: &fake{create: fails(errFull)}, c: &fake{create: fails(errDown)},
			class: "unavailable", text: "create: no backend takes the request (a: daemon down; b: no room; c: daemon down)"},
		{name: "all full", a: &fake{create: fails(errFull)}, b: &fake{create: fails(errFull)}, c: &fake{create: fails(errFull)},
			class: "resource exhausted", text: "create: no backend has room (a: no room; b: no room; c: no room)"},
		{name: "the only one is unavailable", a: &fake{create: fails(errDown)}, tiers: tiers("a"),
			class: "unavailable", text: "create on a: daemon down"},
		{name: "the only one is full", a: &fake{create: fails(errFull)}, tiers: tiers("a"),
			class: "resource exhausted", text: "create on a: no room"},
		{name: "drained", change: drain(0), want: "b", calls: map[string]int{"a create": 0}},
		{name: "the only one drains", tiers: tiers("a"), change: drain(0), class: "unavailable", text: "a: drains"},

		{name: "outcome unknown is not passed over", a: &fake{after: once(unknown)},
			want: "a", calls: map[string]int{"a create": 2, "b create": 0}}, // found when asked again
		{name: "outcome unknown twice", a: &fake{create: fails(unknown)},
			class: "unavailable", text: "outcome unknown", calls: map[string]int{"a create": 2, "b create": 0}},

		{name: "key: looked up everywhere first", key: "k", want: "a",
			calls: map[string]int{"a lookup k": 1, "b lookup k": 1, "c lookup k": 1}},
		{name: "key: one backend needs no lookup", key: "k", tiers: tiers("a"), want: "a", calls: map[string]int{"a lookup": 0}},
		{name: "key: found on a later one", key: "k", c: with("k"), want: "c", calls: map[string]int{"a create": 0, "b create": 0, "c create": 1}},
		{name: "key: found as another request", key: "k", b: with("k", "another"), class: "already exists", text: "create on b: key"},
		{name: "key: one does not answer", key: "k", b: &fake{lookup: silent},
			class: "unavailable", text: "nothing was created: no answer from b: daemon down",
			calls: map[string]int{"a create": 0, "b create": 0, "c create": 0}},
		{name: "key: one does not answer, another has it", key: "k", a: &fake{lookup: silent}, c: with("k"), want: "c"},
		{name: "key: one does not answer, duplicates allowed", key: "k", a: &fake{lookup: silent, create: fails(errDown)}, dupes: true, want: "b"},
		{name: "key: outcome unknown", key: "k", a: &fake{create: fails(unknown)}, class: "unavailable", text: `try again with key "k"`,
			calls: map[string]int{"b create": 0}},
		{name: "key: outcome unknown, duplicates allowed", key: "k", a: &fake{create: fails(unknown)}, dupes: true, want: "b"},
		{name: "key: the only one drains and has it", key: "k", a: with("k"), tiers: tiers("a"), change: drain(0), want: "a"},
		{name: "key: a full one has it", key: "k", a: with("k"), tiers: tiers("a"), change: limit(0, 1), want: "a"},
		{name: "key: a full one has it for another request", key: "k", a: with("k", "another"), tiers: tiers("a"), change: limit(0, 1), class: "already exists"},

		{name: "max_atoms", a: with("other"), change: limit(0, 1), want: "b", calls: map[string]int{"a create": 0}},
		{name: "max_atoms at the only one", a: with("other"), tiers: tiers("a"), change: limit(0, 1),
			class: "resource exhausted", text: "create on a: full: 1 of 1 atoms"},
		{name: "max_atoms with room", a: with("other"), change: limit(0, 2), want: "a"},
		{name: "max_atoms that cannot be counted", a: &fake{list: func(*atom.EngineListRequest) error { return errDown }}, change: limit(0, 1), want: "a"},

		{name: "rejected", change: func(c *Config) { c.Default = Rule{Reject: "not today"} }, class: "permission denied", text: "create: rejected: not today"},
	} {
		t.Run(test.name, func(t *testing.T) {
			engines := map[string]*fake{"a": test.a, "b": test.b, "c": test.c}
			for name, f := range engines {
				if f == nil {
					engines[name] = &fake{}
				}
			}
			if test.tiers == nil {
				test.tiers = tiers("a", "b", "c")
			}
			c := Config{
				Backends: backends(engines["a"], engines["b"], engines["c"]),
				Default:  Rule{Tiers: test.tiers, AllowDuplicates: test.dupes},
			}
			if test.change != nil {
				test.change(&c)
			}
			e := newEngine(t, c)
			a, err := e.Create(&atom.EngineCreateRequest{Image: "x", Key: test.key})
			if class(err) != test.class {
				t.Fatalf("error %v (%s), want class %q", err, class(err), test.class)
			}
			if err != nil {
				if !strings.Contains(err.Error(), test.text) {
					t.Errorf("error %q, want %q in it", err, test.text)
				}
				if strings.Count(err.Error(), "create") > 1+strings.Count(test.text, "was created") {
					t.Errorf("error %q has more than one prefix", err)
				}
			} else if backend, _, _ := splitID(a.ID()); backend != test.want {
				t.Errorf("atom is on %s, want %s", backend, test.want)
			}
			for call, want := range test.calls {
				name, call, _ := strings.Cut(call, " ")
				if got := engines[name].asked(call); got != want {
					t.Errorf("%s was asked to %s %d times, want %d", name, call, got, want)
				}
			}
		})
	}
}

func once(err error) func(*atom.EngineCreateRequest) error {
	return func(*atom.EngineCreateRequest) error {
		defer func() { err = nil }()
		return err
	}
}

func on(ts []Tier, causes ...Cause) []Tier {
	for n := range ts[1:] {
		ts[n+1].On = causes
	}
	return ts
}

func drain(n int) func(*Config) { return func(c *Config) { c.Backends[n].Drain = true } }

func limit(n, most int) func(*Config) { return func(c *Config) { c.Backends[n].MaxAtoms = most } }

// with is a fake that has one running atom under a key.
func with(key string, image ...string) *fake {
	f := &fake{}
	_, err := f.add(&atom.EngineCreateRequest{Image: append(image, "x")[0], Key: key, Owner: "default"})
	if err != nil {
		panic(err)
	}
	return f
}

func TestCreateUnknownHasKey(t *testing.T) {
	f := &fake{create: fails(&atom.OutcomeUnknown{Key: "whatever", Err: errDown})}
	e := newEngine(t, Config{Backends: backends(f), Default: Rule{Tiers: tiers("a")}})
	for _, key := range []string{"", "given"} {
		_, err := e.Create(&atom.EngineCreateRequest{Image: "x", Key: key})
		var unknown *atom.OutcomeUnknown
		if !errors.As(err, &unknown) {
			t.Fatalf("%v holds no OutcomeUnknown", err)
		}
		if sent := f.seen[len(f.seen)-1].Key; unknown.Key != sent || key != "" && sent != key {
			t.Errorf("key %q: the error says %q, the engine was sent %q", key, unknown.Key, sent)
		}
	}
}

func TestCreateNeeds(t *testing.T) {
	poor := &fake{can: atom.Capabilities{atom.CapImages}}
	rich := &fake{}
	mount := container.Spec{Mounts: []container.Mount{{Type: "bind", Source: "/a", Target: "/b"}}}

	e := newEngine(t, Config{Backends: backends(poor, rich), Default: Rule{Tiers: tiers("a")}, Rules: []Rule{
		{Name: "both", Match: Match{Name: []Pattern{mustPattern(t, "both")}}, Tiers: tiers("a", "b")},
	}})
	for range 2 { // not asked yet, and known
		_, err := e.Create(&atom.EngineCreateRequest{Image: "x", Spec: mount})
		if !errdefs.IsNotImplemented(err) || !strings.Contains(err.Error(), "a: cannot do mount_bind") {
			t.Errorf("bind mount: %v", err)
		}
		_, err = e.Create(&atom.EngineCreateRequest{Image: "x", Key: "k"})
		if !errdefs.IsNotImplemented(err) || !strings.Contains(err.Error(), "lookup") {
			t.Errorf("key: %v", err)
		}
		a, err := e.Create(&atom.EngineCreateRequest{Name: "both", Image: "x", Spec: mount})
		if err != nil || !strings.HasPrefix(a.ID(), "b:") {
			t.Errorf("to either: %v, %v", a, err)
		}
	}
	if n := poor.asked("create"); n != 0 {
		t.Errorf("the engine was asked %d times for what it cannot do", n)
	}
	if _, err := e.Create(&atom.EngineCreateRequest{Image: "x"}); err != nil {
		t.Fatal(err)
	}
	if key := poor.seen[0].Key; key != "" {
		t.Errorf("an engine without lookup was sent the key %q", key)
	}
}

func mustPattern(t *testing.T, s string) Pattern {
	t.Helper()
	p, err := ParsePattern(s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestCreateSends(t *testing.T) {
	f := &fake{}
	e := newEngine(t, Config{Owner: "fleet", Backends: backends(f), Rules: []Rule{{Name: "all", Tiers: tiers("a")}}})
	req := &atom.EngineCreateRequest{
		Name: "n", Image: "x", Command: []string{"c"}, Rule: "forged",
		Spec: container.Spec{Env: map[string]string{"A": "1"}, Labels: map[string]string{"l": "v"}},
	}
	before := *req
	before.Spec, before.Command = before.Spec.Clone(), slices.Clone(before.Command)
	f.create = func(r *atom.EngineCreateRequest) error {
		if r.Command != nil { // an engine that is rude
			r.Spec.Env["A"], r.Command[0] = "2", "d"
		}
		return nil
	}
	a, err := e.Create(req)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(&before, req); diff != "" {
		t.Errorf("the caller's request changed:\n%s", diff)
	}
	sent := f.seen[0]
	if sent.Owner != "fleet" || sent.Rule != "all" || sent.Key == "" {
		t.Errorf("sent owner %q, rule %q, key %q", sent.Owner, sent.Rule, sent.Key)
	}
	if a.Engine() != atom.Engine(e) || atom.InfoOf(a).Rule != "all" || a.ID() != "a:ns/a1:x" {
		t.Errorf("atom %+v of %T", atom.InfoOf(a), a.Engine())
	}
	if _, err := e.Create(&atom.EngineCreateRequest{Image: "x", Owner: "someone"}); err != nil || f.seen[1].Owner != "someone" {
		t.Errorf("an owner of the request's own: %v, sent %q", err, f.seen[1].Owner)
	}
}

func TestCreateInvalid(t *testing.T) {
	f := &fake{}
	e := newEngine(t, Config{Backends: backends(f), Default: Rule{Tiers: tiers("a")}})
	_, err := e.Create(&atom.EngineCreateRequest{Command: []string{"\x00"}})
	if fields := atom.AsFieldErrors(err); !errdefs.IsInvalidArgument(err) || len(fields) != 2 || fields[0].Field != "image" {
		t.Errorf("%v", err)
	}
	if len(f.calls) > 0 {
		t.Errorf("the engine was asked: %v", f.calls)
	}
}

func TestCreateCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	a := &fake{create: func(r *atom.EngineCreateRequest) error {
		cancel()
		return atom.Errorf(errdefs.ErrUnavailable, "the stream broke")
	}}
	b := &fake{}
	e := newEngine(t, Config{Backends: backends(a, b), Default: Rule{Tiers: tiers("a", "b")}})
	_, err := e.Create(&atom.EngineCreateRequest{Image: "x", Context: ctx})
	if !errors.Is(err, context.Canceled) || b.asked("create") > 0 {
		t.Errorf("%v, and the next backend was asked %d times", err, b.asked("create"))
	}
}

func TestMaxAtomsTogether(t *testing.T) {
	a, b := &fake{}, &fake{}
	c := Config{Backends: backends(a, b), Default: Rule{Tiers: tiers("a", "b")}}
	c.Backends[0].MaxAtoms = 5
	e := newEngine(t, c)
	var wg sync.WaitGroup
	for n := range 20 {
		wg.Go(func() {
			if _, err := e.Create(&atom.EngineCreateRequest{Image: "x", Name: fmt.Sprint(n)}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if len(a.atoms) != 5 || len(b.atoms) != 15 {
		t.Errorf("%d and %d atoms, want 5 and 15", len(a.atoms), len(b.atoms))
	}
	if err := e.Stop(&atom.EngineStopRequest{ID: "a:" + a.atoms[0].ID}); err != nil {
		t.Fatal(err)
	}
	got, err := e.Create(&atom.EngineCreateRequest{Image: "x"})
	if err != nil || !strings.HasPrefix(got.ID(), "a:") {
		t.Errorf("after one stopped: %v, %v; want it on a", got, err)
	}
}

func TestDeadDaemonIsAskedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{probe: func() error { return errDown }}
		e := newEngine(t, Config{Backends: backends(f), Default: Rule{Tiers: tiers("a")}})
		create := func() error { return second(e.Create(&atom.EngineCreateRequest{Image: "x"})) }
		for range 10 {
			if err := create(); !errdefs.IsUnavailable(err) {
				t.Fatal(err)
			}
		}
		if f.asked("probe") != 1 || e.Backends()[0].State != Degraded {
			t.Errorf("%d probes, state %v", f.asked("probe"), e.Backends()[0].State)
		}
		f.probe = nil
		time.Sleep(2 * probeErrorKept)
		if err := create(); err != nil || e.Backends()[0].State != Ready {
			t.Errorf("mended: %v, state %v", err, e.Backends()[0].State)
		}
		f.create = fails(errDown)
		if err := create(); !errdefs.IsUnavailable(err) {
			t.Error(err)
		}
		f.create = nil
		if err := create(); err != nil || f.asked("probe") != 3 {
			t.Errorf("%v after %d probes; want another before the next Create", err, f.asked("probe"))
		}
	})
}

func TestProbeIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		f := &fake{probe: func() error { <-release; return errDown }}
		time.AfterFunc(probeTimeout+time.Second, func() { close(release) })
		e := newEngine(t, Config{Backends: backends(f), Default: Rule{Tiers: tiers("a")}})
		_, err := e.Create(&atom.EngineCreateRequest{Image: "x"})
		if want := "create on a: no answer to a probe within 5s"; !errdefs.IsUnavailable(err) || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	})
}
