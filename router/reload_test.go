package router

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/containerd/errdefs"

	"github.com/atom-router/atom-router/atom"
)

// changed is the config of e with a change to a copy of it.
func changed(e *Engine, change func(*Config)) Config {
	c := e.now.config
	c.Backends = append([]Backend(nil), c.Backends...)
	change(&c)
	return c
}

// lives reports whether a process is there.
func lives(pid int) bool { return syscall.Kill(pid, 0) == nil }

// children are the processes that this one has.
func children(t *testing.T) []string {
	t.Helper()
	var all []string
	lists, _ := filepath.Glob("/proc/self/task/*/children")
	for _, list := range lists {
		text, _ := os.ReadFile(list)
		all = append(all, strings.Fields(string(text))...)
	}
	return all
}

// eventually waits for what takes a moment.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within 10 s: %s", what)
		}
	}
}

// What of a backend may change without its plugin's knowing.
func TestReloadLeavesAlone(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"nothing":   func(c *Config) {},
		"rules":     func(c *Config) { c.Default = Rule{Reject: "closed"} },
		"max_atoms": func(c *Config) { c.Backends[0].MaxAtoms = 7 },
		"retention": func(c *Config) { c.Backends[0].Retention = time.Hour },
		"drain":     func(c *Config) { c.Backends[0].Drain = true },
		"aliases":   func(c *Config) { c.Backends[0].Aliases = []string{"z"} },
		"owner":     func(c *Config) { c.Owner = "other" },
		"another":   func(c *Config) { c.Backends = append(c.Backends, Backend{Name: "c", Engine: with("")}) },
		"order":     func(c *Config) { c.Backends[0], c.Backends[1] = c.Backends[1], c.Backends[0] },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := process(t, "works", Options{}, func(b *Backend) { b.Settings = fixed(`{"greeting": "hi"}`) })
			was := pid(t, e)
			next := changed(e, change)
			if err := e.Reload(t.Context(), next); err != nil {
				t.Fatal(err)
			}
			if is := pid(t, e); is != was {
				t.Errorf("plugin %d was replaced by %d", was, is)
			}
			for n, s := range e.Backends() {
				b := next.Backends[n]
				if s.Restarts != 0 || s.MaxAtoms != b.MaxAtoms || s.Retention != b.Retention || s.Drain != b.Drain {
					t.Errorf("status %+v", s)
				}
			}
		})
	}
}

func TestReloadReplaces(t *testing.T) {
	e := process(t, "works", Options{})
	was := pid(t, e)
	ctx, cancel := context.WithCancel(t.Context())
	waited := make(chan error, 1)
	go func() {
		_, err := e.Wait(&atom.EngineWaitRequest{ID: "a:pid", Context: ctx})
		waited <- err
	}()
	eventually(t, "a Wait under way", func() bool { return e.using("a") == 1 })
	if err := e.Reload(t.Context(), changed(e, func(c *Config) { c.Backends[0].Settings = fixed(`{"greeting": "hi"}`) })); err != nil {
		t.Fatal(err)
	}
	if is := pid(t, e); is == was {
		t.Error("the settings changed, and the plugin is the same")
	}
	all := e.Backends()
	if len(all) != 3 || all[0].State != Ready || all[2].Name != "a" || all[2].State != Draining {
		t.Errorf("statuses %+v", all)
	}
	if !lives(was) {
		t.Error("the plugin of the Wait has ended")
	}
	select {
	case err := <-waited:
		t.Errorf("the Wait ended: %v", err)
	default:
	}
	cancel()
	if err := <-waited; !errors.Is(err, context.Canceled) {
		t.Errorf("the Wait ended with %v", err)
	}
	eventually(t, "the old plugin's end", func() bool { return !lives(was) && len(e.Backends()) == 2 })
}

func TestReloadRemoves(t *testing.T) {
	e := process(t, "works", Options{}, func(b *Backend) { b.Aliases = []string{"old-a"} })
	was := pid(t, e)
	waited := make(chan error, 1)
	go func() {
		a, err := e.Wait(&atom.EngineWaitRequest{ID: "a:pid"})
		if err == nil && (a.State() != atom.Stopped || a.ID() != "a:pid") {
			err = fmt.Errorf("it says %s of %s", a.State(), a.ID())
		}
		waited <- err
	}()
	eventually(t, "a Wait under way", func() bool { return e.using("a") == 1 })
	without := changed(e, func(c *Config) { c.Backends, c.Default = c.Backends[1:], Rule{Tiers: tiers("b")} })
	with := changed(e, func(*Config) {})
	if err := e.Reload(t.Context(), without); err != nil {
		t.Fatal(err)
	}
	if a, err := e.Create(&atom.EngineCreateRequest{Image: "x"}); err != nil || !strings.HasPrefix(a.ID(), "b:") {
		t.Errorf("Create: %v, %v", a, err)
	}
	// What is under way goes on, and so do calls for its atoms.
	if _, err := e.Get(&atom.EngineGetRequest{ID: "old-a:pid"}); err != nil {
		t.Errorf("Get while it drains: %v", err)
	}
	if err := e.Stop(&atom.EngineStopRequest{ID: "a:pid"}); err != nil {
		t.Errorf("Stop while it drains: %v", err)
	}
	if err := <-waited; err != nil {
		t.Errorf("the Wait: %v", err)
	}
	eventually(t, "the plugin's end", func() bool { return !lives(was) && len(e.Backends()) == 1 })
	for _, name := range []string{"a", "old-a"} {
		_, err := e.Get(&atom.EngineGetRequest{ID: name + ":pid"})
		if !errdefs.IsNotFound(err) || !strings.Contains(err.Error(), "was removed from the config") {
			t.Errorf("an ID of %s: %v", name, err)
		}
	}
	if err := e.Reload(t.Context(), with); err != nil {
		t.Fatal(err)
	}
	if is := pid(t, e); is == was {
		t.Error("the process that had ended is back")
	}
}

// Logs hold their backend until they end or are closed.
func TestReloadUnderLogs(t *testing.T) {
	for name, end := range map[string]func(io.ReadCloser, *io.PipeWriter) error{
		"ended": func(r io.ReadCloser, w *io.PipeWriter) error {
			go func() { fmt.Fprint(w, "more"); w.Close() }()
			if text, err := io.ReadAll(r); err != nil || string(text) != "more" {
				return fmt.Errorf("they go on with %q, %w", text, err)
			}
			return nil
		},
		"closed": func(r io.ReadCloser, _ *io.PipeWriter) error { return r.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			in, out := io.Pipe()
			old := with("")
			old.logs = func(*atom.EngineLogsRequest) (io.ReadCloser, error) { return in, nil }
			e := newEngine(t, Config{Backends: backends(old), Default: Rule{Tiers: tiers("a")}})
			logs, err := e.Logs(&atom.EngineLogsRequest{ID: "a:1"})
			if err != nil {
				t.Fatal(err)
			}
			if err := e.Reload(t.Context(), changed(e, func(c *Config) { c.Backends[0].Engine = with("") })); err != nil {
				t.Fatal(err)
			}
			if n := len(e.Backends()); n != 2 {
				t.Errorf("%d backends while they are read", n)
			}
			if err := end(logs, out); err != nil {
				t.Error(err)
			}
			if n := len(e.Backends()); n != 1 {
				t.Errorf("%d backends afterwards", n)
			}
			logs.Close()
		})
	}
}

// A bad config changes nothing and leaves nothing behind.
func TestReloadRefuses(t *testing.T) {
	down := func() error { return errDown }
	for _, test := range []struct {
		name    string
		change  func(*Config)
		invalid bool
		text    string
	}{
		{name: "unknown backend in a rule", invalid: true, text: `reload: router config: default.to[0].backends[0]: unknown backend "nowhere"`,
			change: func(c *Config) { c.Default = Rule{Tiers: tiers("nowhere")} }},
		{name: "refused settings", invalid: true, text: "reload on a: fleet.hcl:4: greeting: is impolite",
			change: func(c *Config) { c.Backends[0].Settings = fixed(`{"greeting": "wrong"}`) }},
		{name: "another checksum", invalid: true, text: "reload on a: ",
			change: func(c *Config) { c.Backends[0].SHA256 = strings.Repeat("ab", 32) }},
		{name: "no plugin", text: "reload on a: plugin \"nowhere\": there is no atom-plugin-nowhere",
			change: func(c *Config) { c.Backends[0].Plugin = "nowhere" }},
		{name: "no answer", text: "reload on c: ",
			change: func(c *Config) { c.Backends = append(c.Backends, Backend{Name: "c", Engine: &fake{probe: down}}) }},
		{name: "no answer from what is changed", text: "reload on b: ",
			change: func(c *Config) { c.Backends[1].Engine = &fake{probe: down} }},
		{name: "two at once", text: "\nreload on b: ", invalid: true,
			change: func(c *Config) {
				c.Backends[0].Settings = fixed("undecodable")
				c.Backends[1].Engine = &fake{probe: down}
			}},
	} {
		t.Run(test.name, func(t *testing.T) {
			e := process(t, "works", Options{})
			was := pid(t, e)
			before := e.now
			err := e.Reload(t.Context(), changed(e, test.change))
			if err == nil || errdefs.IsInvalidArgument(err) != test.invalid || !test.invalid && !errdefs.IsUnavailable(err) || !strings.Contains(err.Error(), test.text) {
				t.Fatalf("%s error: %v, want %q in it", class(err), err, test.text)
			}
			t.Log(err)
			if e.now != before || pid(t, e) != was || len(e.Backends()) != 2 {
				t.Error("something has changed")
			}
			if kids := children(t); len(kids) > 1 {
				t.Errorf("processes left besides %d: %v", was, kids)
			}
		})
	}
}

// A cluster that is down does not keep the operator from changing its config.
func TestReloadOfTheUnreachable(t *testing.T) {
	down := &fake{probe: func() error { return errDown }}
	e := newEngine(t, Config{Backends: backends(down), Default: Rule{Tiers: tiers("a")}})
	also := &fake{probe: func() error { return errDown }}
	if err := e.Reload(t.Context(), changed(e, func(c *Config) { c.Backends[0].Engine = also })); err != nil {
		t.Fatal(err)
	}
	if s := e.Backends()[0]; s.State != Degraded {
		t.Errorf("status %+v", s)
	}
}

// Creates under reloads are decided by one config or by the other.
func TestReloadIsAtomic(t *testing.T) {
	e := newEngine(t, Config{Backends: backends(with(""), with("")), Rules: []Rule{{Name: "to-a", Tiers: tiers("a")}}, Default: Rule{Reject: "a"}})
	configs := []Config{
		e.now.config,
		changed(e, func(c *Config) {
			c.Backends = []Backend{{Name: "c", Engine: with("")}, c.Backends[1]}
			c.Rules = []Rule{{Name: "to-c", Tiers: tiers("c")}}
		}),
	}
	stop := make(chan struct{})
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				a, err := e.Create(&atom.EngineCreateRequest{Image: "x"})
				if err != nil {
					t.Error(err)
					return
				}
				info := atom.InfoOf(a)
				if info.Rule != "to-"+info.ID[:1] {
					t.Errorf("rule %s made %s", info.Rule, info.ID)
				}
				if _, err := e.List(&atom.EngineListRequest{}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for n := range 200 {
		if err := e.Reload(t.Context(), configs[(n+1)%2]); err != nil {
			t.Error(err)
		}
	}
	close(stop)
	all.Wait()
	eventually(t, "nothing left to drain", func() bool { return len(e.Backends()) == 2 })
}

func TestReloadAndClose(t *testing.T) {
	e := process(t, "works", Options{})
	pid(t, e)
	var nexts [3]Config
	for n := range nexts {
		nexts[n] = changed(e, func(c *Config) { c.Backends[0].Settings = fixed(fmt.Sprintf(`{"greeting": "%d"}`, n)) })
	}
	var all sync.WaitGroup
	for _, next := range nexts {
		all.Go(func() {
			err := e.Reload(t.Context(), next)
			if err != nil && !errdefs.IsUnavailable(err) {
				t.Error(err)
			}
		})
	}
	e.Close()
	all.Wait()
	e.Close()
	if err := e.Reload(t.Context(), changed(e, func(*Config) {})); !errdefs.IsUnavailable(err) {
		t.Errorf("after Close: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := e.Reload(ctx, changed(e, func(*Config) {})); err == nil {
		t.Error("a reload whose context has ended succeeds")
	}
}

// using is how many calls hold a backend.
func (e *Engine) using(name string) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.now.byName[name].users
}
