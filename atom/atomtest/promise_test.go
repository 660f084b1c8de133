package atomtest

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/atom/atomtest/memengine"
)

func TestNamesReadAsPromises(t *testing.T) {
	seen := make(map[string]bool)
	for _, p := range Promises() {
		switch {
		case seen[p.Name]:
			t.Errorf("%q stands twice", p.Name)
		case p.Check == nil:
			t.Errorf("%q has no check", p.Name)
		case len(strings.Fields(p.Name)) < 4 || strings.ContainsAny(p.Name, "/_") || unicode.IsUpper(rune(p.Name[0])) && !unicode.IsUpper(rune(p.Name[1])):
			t.Errorf("%q does not read as a promise, or not as the name of a subtest", p.Name)
		}
		seen[p.Name] = true
		for _, c := range p.Needs {
			if c == "" {
				t.Errorf("%q needs a capability without a name", p.Name)
			}
		}
	}
}

func TestVerify(t *testing.T) {
	e := memengine.New()
	t.Cleanup(func() { e.Close() })
	env := &Env{Engine: e, Capabilities: memengine.AllCapabilities(), Image: memengine.Image, Timeout: time.Second}
	var id string
	for _, c := range []struct {
		name  string
		check func(context.Context, *Env) error
		want  string
	}{
		{"kept", func(context.Context, *Env) error { return nil }, ""},
		{"broken", func(context.Context, *Env) error { return errors.New("seen otherwise") }, "seen otherwise"},
		{"panics", func(context.Context, *Env) error { panic("oh") }, "panic: oh"},
		{"takes too long", func(ctx context.Context, _ *Env) error { <-ctx.Done(); return ctx.Err() }, "deadline exceeded"},
		{"makes an atom", func(ctx context.Context, e *Env) error {
			a, err := e.Start(ctx, "sleep", long)
			if err == nil {
				id = a.ID()
			}
			return err
		}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := Promise{Name: c.name, Check: c.check}.Verify(t.Context(), env)
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
	if _, err := e.Get(&atom.EngineGetRequest{ID: id}); err == nil {
		t.Error("the check's atom was not removed")
	}
}

func TestEnvThatLacksSomething(t *testing.T) {
	e := memengine.New()
	t.Cleanup(func() { e.Close() })
	for want, env := range map[string]*Env{
		"no engine": {},
		"an Image":  {Engine: e, Capabilities: atom.Capabilities{atom.CapImages}},
		"a Program": {Engine: e},
		"a Scratch": {Engine: e, Program: "/p", Capabilities: atom.Capabilities{atom.CapMountBind}},
	} {
		if err := env.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	if err := (*Env)(nil).Check(); err == nil {
		t.Error("no Env is no error")
	}
}

func TestLeaked(t *testing.T) {
	before := goroutines()
	stop := make(chan struct{})
	go func() { <-stop }() // ends below
	ignore := func(stack string) bool { return strings.Contains(stack, "TestLeaked") }
	if left := leaked(before, ignore); len(left) > 0 {
		t.Errorf("an ignored goroutine is reported: %s", left)
	}
	time.AfterFunc(50*time.Millisecond, func() { close(stop) })
	if left := leaked(before, nil); len(left) > 0 {
		t.Errorf("a goroutine that ended is reported: %s", left)
	}
}
