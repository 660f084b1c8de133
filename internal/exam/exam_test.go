package exam

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/go-hclog"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/atom/atomtest"
	"github.com/atom-router/atom-router/atom/atomtest/memengine"
	"github.com/atom-router/atom-router/plugin"
	"github.com/atom-router/atom-router/plugin/plugintest"
)

// The test binary is also the plugins that are examined, by its first argument.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 {
		switch os.Args[1] {
		case "as-right":
			serve(func(e *memengine.Engine) atom.Engine { return e })
			return
		case "as-wrong":
			serve(func(e *memengine.Engine) atom.Engine {
				signal.Reset(syscall.SIGTERM)
				return &wrong{e}
			})
			return
		case "as-absent":
			serve(func(e *memengine.Engine) atom.Engine { return absent{e} })
			return
		}
	}
	os.Exit(m.Run())
}

func capabilities() atom.Capabilities {
	return atom.Capabilities{atom.CapDelete, atom.CapLogStreams, atom.CapExactBytes, atom.CapLookup}
}

func serve(of func(*memengine.Engine) atom.Engine) {
	plugin.Serve(plugin.Plugin[struct{}]{
		Name: "fixture", Version: "1", Capabilities: append(capabilities(), atom.CapDurable),
		New: func(context.Context, struct{}, hclog.Logger) (atom.Engine, error) {
			caps := capabilities()
			if os.Args[1] == "as-wrong" {
				caps = append(caps, atom.CapDurable) // and forgets its atoms when it ends
			}
			return of(memengine.New(caps...)), nil
		},
	})
}

// wrong is an engine with a few wrongs.
type wrong struct{ *memengine.Engine }

// Lookup without a key ends the process.
func (w *wrong) Lookup(r *atom.EngineLookupRequest) (atom.Atom, error) {
	if r.Key == "" {
		os.Exit(3)
	}
	return w.Engine.Lookup(r)
}

// Delete does not mind that an atom runs.
func (w *wrong) Delete(r *atom.EngineDeleteRequest) error {
	forced := *r
	forced.Force = true
	return w.Engine.Delete(&forced)
}

// absent is an engine whose daemon is away.
type absent struct{ *memengine.Engine }

func (absent) Probe(context.Context) (atom.Capabilities, error) {
	return nil, atom.Errorf(errdefs.ErrUnavailable, "no daemon at /run/none.sock")
}

// options are for an exam of one of the plugins, whose processes and files can
// be told from others.
func options(t *testing.T, role string) Options {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "ex")
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", dir)
	t.Cleanup(func() {
		if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
		if left := processes(t, dir); len(left) > 0 {
			t.Errorf("left behind: processes %v", left)
		}
		os.RemoveAll(dir)
	})
	return Options{Command: []string{self, role}, Program: memengine.Program, Run: quick()}
}

// processes are those that have dir in their environment, but for this one.
func processes(t *testing.T, dir string) []string {
	t.Helper()
	var found []string
	environments, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, path := range environments {
		env, _ := os.ReadFile(path)
		if strings.Contains(string(env), dir) {
			found = append(found, filepath.Base(filepath.Dir(path)))
		}
	}
	return found
}

// quick matches all promises but the one that takes half a minute.
func quick() *regexp.Regexp {
	var names []string
	for _, p := range append(plugintest.Promises(plugintest.Candidate{Command: []string{"x"}}), atomtest.Promises()...) {
		if !strings.Contains(p.Name, "pings it every ten seconds") {
			names = append(names, regexp.QuoteMeta(p.Name))
		}
	}
	return regexp.MustCompile("^(" + strings.Join(names, "|") + ")$")
}

func TestRight(t *testing.T) {
	told := 0
	o := options(t, "as-right")
	o.Progress = func(Result, int) { told++ }
	r, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range r.Results {
		if one.Outcome == Fail {
			t.Errorf("%s: %v", one.Promise, one.Err)
		}
	}
	if told != len(r.Results) || r.Count(NotClaimed) == 0 || r.Count(Pass) < 100 {
		t.Errorf("of %d results %d were told, %d pass and %d are not claimed", len(r.Results), told, r.Count(Pass), r.Count(NotClaimed))
	}
	if r.Capabilities.Has(atom.CapDurable) || r.Plugin.Name != "fixture" || r.Left != nil {
		t.Errorf("%+v", r)
	}
}

// TestWrong: a plugin with several wrongs breaks the promises that they are
// about, and no others, though it ends in the middle.
func TestWrong(t *testing.T) {
	r, err := Run(t.Context(), options(t, "as-wrong"))
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]string)
	for _, one := range r.Results {
		if one.Outcome == Fail {
			got[one.Promise] = one.Err.Error()
		}
	}
	want := map[string]string{
		"SIGINT and SIGTERM are left to its host":                             "it ended with terminated",
		"a lookup without a key finds nothing":                                "exam.test ended: exit status 3",
		"an atom outlives a plugin that is killed, and the next one finds it": "the next one does not know the atom",
		"two plugins of one backend see the same atoms":                       "no atom",
		"a running atom is not deleted without force":                         "no error; want FailedPrecondition",
	}
	for promise, seen := range want {
		if !strings.Contains(got[promise], seen) {
			t.Errorf("%s: %q; want %q", promise, got[promise], seen)
		}
		delete(got, promise)
	}
	if diff := cmp.Diff(map[string]string{}, got); diff != "" {
		t.Errorf("further broken promises:\n%s", diff)
	}
}

func TestNoExam(t *testing.T) {
	for role, want := range map[string]string{
		"as-absent": "what is behind the plugin does not answer, and so cannot be examined: no daemon at /run/none.sock",
	} {
		if _, err := Run(t.Context(), options(t, role)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", role, err)
		}
	}
	o := options(t, "as-right")
	o.Run = regexp.MustCompile("nosuch")
	var bad *UsageError
	if _, err := Run(t.Context(), o); !errors.As(err, &bad) {
		t.Errorf("a pattern that matches nothing: %v", err)
	}
}

// TestBrokenOff: an exam that is broken off ends soon and leaves nothing.
func TestBrokenOff(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	o := options(t, "as-right")
	o.Progress = func(Result, int) { cancel() }
	if _, err := Run(ctx, o); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
