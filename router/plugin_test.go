package router

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/containerd/errdefs"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/plugin"
)

// fixed is Settings that were decoded by hand.
type fixed string

func (f fixed) Decode(s plugin.Schema) ([]byte, error) {
	if f == "undecodable" {
		return nil, fmt.Errorf("fleet.hcl:3: no attribute of %d is called so", len(s.Attributes))
	}
	return []byte(f), nil
}

func (f fixed) Equal(other Settings) bool { return f == other }

func (f fixed) Explain(err error) error { return fmt.Errorf("fleet.hcl:4: %w", err) }

// process returns a router with a plugin process of that kind as backend "a",
// and an engine in this process as "b".
func process(t *testing.T, kind string, o Options, change ...func(*Backend)) *Engine {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	a := Backend{Name: "a", Plugin: kind}
	for _, c := range change {
		c(&a)
	}
	o.NoJanitor = true
	o.Builtin = map[string][]string{kind: {self, servePlugin, kind}}
	e, err := New(t.Context(), Config{
		Backends: []Backend{a, {Name: "b", Engine: with("k")}}, Default: Rule{Tiers: tiers("a", "b")},
	}, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}

// pid is that of the plugin behind "a".
func pid(t *testing.T, e *Engine) int {
	t.Helper()
	a, err := e.Get(&atom.EngineGetRequest{ID: "a:pid"})
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(atom.InfoOf(a).Name)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestPluginProcess(t *testing.T) {
	e := process(t, "works", Options{})
	if s := e.Backends()[0]; s.State != Idle {
		t.Errorf("before any call: %+v", s)
	}
	a, err := e.Create(&atom.EngineCreateRequest{Image: "x", Name: "n", Key: "given"})
	if err != nil {
		t.Fatal(err)
	}
	found, err := e.Lookup(&atom.EngineLookupRequest{Key: "given"})
	if err != nil || found.ID() != a.ID() || found.Engine() != atom.Engine(e) {
		t.Errorf("%v, %v; want %s", found, err, a.ID())
	}
	if _, err = e.Create(&atom.EngineCreateRequest{Image: "y", Key: "given"}); !errdefs.IsAlreadyExists(err) {
		t.Errorf("the key with another request: %v", err)
	}
	if s := e.Backends()[0]; s.State != Ready || s.Version != "v1.2.3" || !s.Capabilities.Has(atom.CapLookup) {
		t.Errorf("status %+v", s)
	}
	gone := pid(t, e)
	if err := e.Close(); err != nil {
		t.Error(err)
	}
	if err := syscall.Kill(gone, 0); err == nil {
		t.Errorf("the plugin, process %d, lives on after Close", gone)
	}
}

func TestPluginProcessKilled(t *testing.T) {
	e := process(t, "works", Options{})
	last := pid(t, e)
	for range 2 {
		if err := syscall.Kill(last, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		now := pid(t, e) // the next call works
		if now == last {
			t.Error("it is the same process")
		}
		last = now
	}
	if s := e.Backends()[0]; s.State != Ready || s.Restarts != 2 || s.LastError == nil {
		t.Errorf("status %+v", s)
	}
}

func TestPluginProcessDiesInCreate(t *testing.T) {
	marker := filepath.Join(t.TempDir(), "died")
	e := process(t, "works", Options{}, func(b *Backend) { b.Settings = fixed(fmt.Sprintf(`{"marker": %q}`, marker)) })
	a, err := e.Create(&atom.EngineCreateRequest{Image: "x"})
	if err != nil || !strings.HasPrefix(a.ID(), "a:") {
		t.Errorf("%v, %v; want it on a after all", a, err)
	}
	if _, err := os.Stat(marker); err != nil {
		t.Errorf("the plugin did not die: %v", err)
	}
	if s := e.Backends()[0]; s.Restarts != 1 {
		t.Errorf("%d restarts", s.Restarts)
	}
}

func TestPluginProcessBroken(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "atom-plugin-plain"), []byte("#!/bin/sh\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name, kind string
		change     func(*Backend)
		invalid    bool
		text       string
	}{
		{name: "missing", kind: "works", change: func(b *Backend) { b.Plugin = "nowhere" }, text: "there is no atom-plugin-nowhere"},
		{name: "not executable", kind: "plain"},
		{name: "garbage on stdout", kind: "garbage"},
		{name: "exits at once", kind: "exits"},
		{name: "never completes its handshake", kind: "silent"},
		{name: "another checksum", kind: "works", change: func(b *Backend) { b.SHA256 = strings.Repeat("ab", 32) },
			invalid: true, text: "and the config pins abab"},
		{name: "wrong value", kind: "works", change: func(b *Backend) { b.Settings = fixed(`{"greeting": "wrong"}`) },
			invalid: true, text: "fleet.hcl:4: greeting: is impolite"},
		{name: "undecodable", kind: "works", change: func(b *Backend) { b.Settings = fixed("undecodable") },
			invalid: true, text: "fleet.hcl:3: no attribute of 2 is called so"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.change == nil {
				test.change = func(*Backend) {}
			}
			var o Options
			if test.kind == "silent" {
				o.StartTimeout = 2 * time.Second // the others have what a busy machine takes
			}
			e := process(t, test.kind, o, test.change)
			if test.kind == "plain" {
				e.Close()
				var err error
				e, err = New(t.Context(), Config{
					PluginDirs: []string{dir}, Backends: []Backend{{Name: "a", Plugin: "plain"}, {Name: "b", Engine: with("k")}},
					Default: Rule{Tiers: tiers("a", "b")},
				}, Options{NoJanitor: true})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { e.Close() })
			}
			began := time.Now()
			_, err := e.Get(&atom.EngineGetRequest{ID: "a:1"})
			if took := time.Since(began); test.kind == "silent" && took > 10*time.Second {
				t.Errorf("took %v", took)
			}
			if errdefs.IsInvalidArgument(err) != test.invalid || errdefs.IsUnavailable(err) == test.invalid || errdefs.IsNotFound(err) ||
				!strings.HasPrefix(err.Error(), "get a:1: ") || !strings.Contains(err.Error(), test.text) {
				t.Errorf("%s error: %v; want %q in it", class(err), err, test.text)
			}
			t.Log(err)
			if test.text == "fleet.hcl:4: greeting: is impolite" {
				var field *atom.FieldError
				if !errors.As(err, &field) || field.Field != "greeting" {
					t.Errorf("no FieldError in %v", err)
				}
			}
			if a, err := e.Create(&atom.EngineCreateRequest{Image: "x"}); err != nil || !strings.HasPrefix(a.ID(), "b:") {
				t.Errorf("the other backend does not serve: %v, %v", a, err)
			}
			if err := e.Validate(t.Context()); err == nil || !strings.HasPrefix(err.Error(), "start on a: ") {
				t.Errorf("Validate: %v", err)
			}
		})
	}
}
