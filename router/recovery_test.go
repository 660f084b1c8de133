package router

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/containerd/errdefs"

	"github.com/atom-router/atom-router/atom"
)

// install puts the test plugin that works into a directory.
func install(t *testing.T, dir string) {
	t.Helper()
	self, err := os.Executable()
	if err == nil {
		err = os.MkdirAll(dir, 0o755)
	}
	if err == nil {
		script := fmt.Sprintf("#!/bin/sh\nexec %s %s works\n", self, servePlugin)
		err = os.WriteFile(filepath.Join(dir, "atom-plugin-works"), []byte(script), 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// What a reload leaves alone is started again from where the new config says.
func TestReloadOfPluginDirs(t *testing.T) {
	config := func(dirs ...string) Config {
		return Config{PluginDirs: dirs, Backends: []Backend{{Name: "a", Plugin: "works"}}, Default: Rule{Tiers: tiers("a")}}
	}
	t.Run("not there before", func(t *testing.T) {
		wrong, right := filepath.Join(t.TempDir(), "wrong"), filepath.Join(t.TempDir(), "right")
		e := newEngine(t, config(wrong))
		install(t, right)
		if err := e.Reload(t.Context(), config(right)); err != nil {
			t.Fatal(err)
		}
		pid(t, e)
	})
	t.Run("moved", func(t *testing.T) {
		old, young := filepath.Join(t.TempDir(), "old"), filepath.Join(t.TempDir(), "young")
		install(t, old)
		e := newEngine(t, config(old))
		was := pid(t, e)
		install(t, young)
		if err := os.RemoveAll(old); err != nil {
			t.Fatal(err)
		}
		if err := e.Reload(t.Context(), config(young, old)); err != nil {
			t.Fatal(err)
		}
		if is := pid(t, e); is == was {
			t.Error("its binary is another, and the plugin is the same")
		}
		eventually(t, "the old plugin's end", func() bool { return !lives(was) })
		if err := syscall.Kill(pid(t, e), syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		pid(t, e)
	})
}

// Calls at an engine in this process end with Close too.
func TestCloseEndsCallsInProcess(t *testing.T) {
	f := with("k")
	in, out := io.Pipe()
	f.logs = func(r *atom.EngineLogsRequest) (io.ReadCloser, error) {
		context.AfterFunc(r.Context, func() { out.CloseWithError(errors.New("interrupted")) })
		return in, nil
	}
	e := newEngine(t, Config{Backends: backends(f), Default: Rule{Tiers: tiers("a")}})
	waited, read := make(chan error, 1), make(chan error, 1)
	go func() {
		_, err := e.Wait(&atom.EngineWaitRequest{ID: "a:ns/a1:x"})
		waited <- err
	}()
	logs, err := e.Logs(&atom.EngineLogsRequest{ID: "a:ns/a1:x"})
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		_, err := io.ReadAll(logs)
		read <- err
	}()
	eventually(t, "the Wait", func() bool { return f.asked("wait") == 1 })
	e.Close()
	for what, ended := range map[string]chan error{"Wait": waited, "Logs": read} {
		if err := <-ended; !errdefs.IsUnavailable(err) {
			t.Errorf("%s ends with %v", what, err)
		}
	}
}

// Close returns when a Reload that is under way has left nothing.
func TestCloseDuringReload(t *testing.T) {
	e := process(t, "works", Options{})
	probed := make(chan struct{})
	slow := &prober{probe: func(ctx context.Context) error { close(probed); <-ctx.Done(); return ctx.Err() }}
	next := changed(e, func(c *Config) {
		c.Backends[0].Settings = fixed(`{"greeting": "hi"}`)
		c.Backends = append(c.Backends, Backend{Name: "c", Engine: slow})
	})
	reloaded := make(chan error, 1)
	go func() { reloaded <- e.Reload(t.Context(), next) }()
	<-probed
	e.Close()
	if kids := children(t); len(kids) > 0 {
		t.Errorf("after Close there are %v", kids)
	}
	if err := <-reloaded; !errdefs.IsUnavailable(err) {
		t.Errorf("the reload: %v", err)
	}
}

// prober is a fake whose probe has a context.
type prober struct {
	fake
	probe func(context.Context) error
}

func (p *prober) Probe(ctx context.Context) (atom.Capabilities, error) {
	return everything(), p.probe(ctx)
}

// That an atom may have been made is not forgotten for what another backend
// says.
func TestUnknownIsNotForgotten(t *testing.T) {
	for _, second := range []error{errDown, errFull, errBad} {
		a := &fake{create: fails(&atom.OutcomeUnknown{Key: "k", Err: errors.New("connection reset")})}
		b := &fake{create: fails(second)}
		e := newEngine(t, Config{Backends: backends(a, b), Default: Rule{Tiers: tiers("a", "b"), AllowDuplicates: true}})
		_, err := e.Create(&atom.EngineCreateRequest{Image: "x", Key: "k"})
		var unknown *atom.OutcomeUnknown
		if !errors.As(err, &unknown) || unknown.Key != "k" {
			t.Errorf("after %v: %v", second, err)
		}
	}
}

// A refusal of the second attempt does not tell of the first: quota and
// admission come before the look for what is there.
func TestRefusalAfterALoss(t *testing.T) {
	for name, test := range map[string]struct {
		key    string
		refuse error
		lookup error
		want   string // "" is OutcomeUnknown
	}{
		"full, no key":             {refuse: errFull, want: "a"},
		"full":                     {key: "k", refuse: errFull, want: "a"},
		"not allowed any more":     {key: "k", refuse: atom.Errorf(errdefs.ErrPermissionDenied, "no"), want: "a"},
		"full, and no answer then": {key: "k", refuse: errFull, lookup: errDown},
	} {
		a, b := &fake{}, &fake{}
		a.create = func(r *atom.EngineCreateRequest) error {
			if a.asked("create") > 1 {
				return test.refuse
			}
			if _, err := a.add(r); err != nil {
				return err
			}
			a.lookup = func(*atom.EngineLookupRequest) error { return test.lookup }
			return &atom.OutcomeUnknown{Key: r.Key, Err: errDown}
		}
		e := newEngine(t, Config{Backends: backends(a, b), Default: Rule{Tiers: tiers("a", "b")}})
		got, err := e.Create(&atom.EngineCreateRequest{Image: "x", Key: test.key})
		var unknown *atom.OutcomeUnknown
		switch {
		case test.want == "" && !errors.As(err, &unknown):
			t.Errorf("%s: %v, %v", name, got, err)
		case test.want != "" && (err != nil || got.ID()[:1] != test.want):
			t.Errorf("%s: %v, %v", name, got, err)
		}
		if n := len(a.atoms) + len(b.atoms); n != 1 {
			t.Errorf("%s: there are %d atoms", name, n)
		}
	}
}

// A Create that is cancelled under a Key that nobody knows leaves nothing.
func TestCancelledCreateLeavesNothing(t *testing.T) {
	for _, key := range []string{"", "given"} {
		ctx, cancel := context.WithCancel(t.Context())
		f := &fake{after: func(*atom.EngineCreateRequest) error { cancel(); return context.Canceled }}
		e := newEngine(t, Config{Backends: backends(f), Default: Rule{Tiers: tiers("a")}})
		if _, err := e.Create(&atom.EngineCreateRequest{Image: "x", Key: key, Context: ctx}); err == nil {
			t.Error("it succeeds")
		}
		e.Close() // waits for what tidies up
		if left := f.count(); left != len(key[:min(1, len(key))]) {
			t.Errorf("key %q: %d atoms are left", key, left)
		}
	}
}

// A caller in a hurry does not make a backend well.
func TestImpatientCallerTellsNothing(t *testing.T) {
	f := &prober{probe: func(context.Context) error { return errDown }}
	e := newEngine(t, Config{Backends: backends(f), Default: Rule{Tiers: tiers("a")}})
	if _, err := e.ProbeBackends(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.probe = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	time.Sleep(probeErrorKept + 10*time.Millisecond)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := e.Create(&atom.EngineCreateRequest{Image: "x", Context: ctx}); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	if s := e.Backends()[0].State; s != Degraded {
		t.Errorf("it is %s", s)
	}
}

// A follow of what is new, which gave nothing before its plugin was lost, does
// not know where it was: it ends rather than leave something out.
func TestTailThatCannotBeResumed(t *testing.T) {
	for _, tail := range []int{atom.TailNone, 3} {
		synctest.Test(t, func(t *testing.T) {
			p := &plug{}
			f := &fake{}
			f.logs = func(r *atom.EngineLogsRequest) (io.ReadCloser, error) {
				in, out := io.Pipe()
				live := p.live
				go func() { <-live; out.CloseWithError(errDown) }()
				return in, nil
			}
			p.engine = f
			e := plugged(t, p)
			logs, err := e.Logs(&atom.EngineLogsRequest{ID: "a:1", Tail: tail})
			if err != nil {
				t.Fatal(err)
			}
			p.kill()
			if _, err := logs.Read(make([]byte, 1)); !errdefs.IsUnavailable(err) {
				t.Errorf("tail %d: %v", tail, err)
			}
			logs.Close()
			e.Close()
		})
	}
}

// A Wait that is taken up again sits it out that the daemon is away, as it did
// before.
func TestResumedWaitSitsItOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := with("k")
		p := &plug{engine: f}
		e := plugged(t, p)
		lost := make(chan struct{})
		f.wait = func(r *atom.EngineWaitRequest) error {
			switch n := f.asked("wait"); {
			case n == 1:
				<-lost
				return errDown
			case n < 5:
				return errDown // the daemon
			}
			return nil
		}
		type answer struct {
			a   atom.Atom
			err error
		}
		waited := make(chan answer, 1)
		go func() {
			a, err := e.Wait(&atom.EngineWaitRequest{ID: "a:ns/a1:x"})
			waited <- answer{a, err}
		}()
		synctest.Wait()
		p.kill()
		close(lost)
		time.Sleep(time.Minute)
		if err := e.Stop(&atom.EngineStopRequest{ID: "a:ns/a1:x"}); err != nil {
			t.Error(err)
		}
		if w := <-waited; w.err != nil || w.a.State() != atom.Stopped {
			t.Errorf("%v, %v after %d attempts", w.a, w.err, f.asked("wait"))
		}
		e.Close()
	})
}

// While what stands behind the next plugin is away it is asked ever more
// seldom, and not by all Waits in step.
func TestResumedWaitsAreSpread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := with("k")
		p := &plug{engine: f}
		e := plugged(t, p)
		const waits = 100
		lost := make(chan struct{})
		var mu sync.Mutex
		at := make(map[time.Time]int)
		f.wait = func(*atom.EngineWaitRequest) error {
			if f.asked("wait") <= waits {
				<-lost
			}
			mu.Lock()
			defer mu.Unlock()
			at[time.Now()]++
			return errDown
		}
		for range waits {
			go e.Wait(&atom.EngineWaitRequest{ID: "a:ns/a1:x"}) // ends with the router
		}
		synctest.Wait()
		p.kill()
		close(lost)
		synctest.Wait()
		mu.Lock()
		clear(at)
		mu.Unlock()
		time.Sleep(time.Minute)
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		asked, most := 0, 0
		for _, n := range at {
			asked, most = asked+n, max(most, n)
		}
		if asked < 5*waits || asked > 20*waits || most > 5 {
			t.Errorf("%d Waits asked %d times in a minute, %d of them at once", waits, asked, most)
		}
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
}

// Reloads neither keep the janitor from its work nor leave it at the old one.
func TestJanitorUnderReloads(t *testing.T) {
	old := func(n int) (atoms []*atom.Info) {
		for i := range n {
			at := time.Now().Add(-48 * time.Hour)
			atoms = append(atoms, &atom.Info{ID: fmt.Sprint(i), State: atom.Stopped, CreatedAt: at, StartedAt: at, StoppedAt: at})
		}
		return atoms
	}
	t.Run("often", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := &fake{atoms: old(1)}
			c := Config{Backends: backends(f), Default: Rule{Tiers: tiers("a")}}
			c.Backends[0].Retention = 24 * time.Hour
			e, err := New(t.Context(), c, Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer e.Close()
			for range 20 {
				time.Sleep(50 * time.Second)
				if err := e.Reload(t.Context(), c); err != nil {
					t.Fatal(err)
				}
			}
			if f.count() > 0 {
				t.Error("no sweep in all that time")
			}
		})
	})
	t.Run("in a sweep", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := &fake{atoms: old(100)}
			f.delete = func(*atom.EngineDeleteRequest) error { time.Sleep(time.Second); return nil }
			c := Config{Backends: backends(f), Default: Rule{Tiers: tiers("a")}}
			c.Backends[0].Retention = 24 * time.Hour
			e, err := New(t.Context(), c, Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer e.Close()
			time.Sleep(time.Minute + 2500*time.Millisecond)
			if err := e.Reload(t.Context(), changed(e, func(c *Config) { c.Backends[0].Retention = 0 })); err != nil {
				t.Fatal(err)
			}
			left := f.count()
			time.Sleep(10 * time.Minute)
			if now := f.count(); now < left-1 {
				t.Errorf("%d were left after the reload, and then %d", left, now)
			}
		})
	})
}

// Atoms that are made while they are counted take up room.
func TestRoomWhileCounting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRoom()
		atoms := 0
		count := func(context.Context) (int, error) { return atoms, nil }
		if err := r.take(t.Context(), 2, count); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * countKept)
		err := r.take(t.Context(), 2, func(context.Context) (int, error) {
			listed := atoms
			atoms++ // the first one is there now, and was not listed
			r.give(true)
			return listed, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		atoms++
		r.give(true)
		if r.take(t.Context(), 2, count) == nil {
			t.Errorf("there is room for a third of two, with %d there", atoms)
		}
	})
}

// What one owner makes takes no room from another.
func TestRoomOfOwners(t *testing.T) {
	f := &fake{}
	going := make(chan struct{})
	f.create = func(r *atom.EngineCreateRequest) error {
		if r.Owner == "one" {
			<-going
		}
		return nil
	}
	c := Config{Backends: backends(f), Default: Rule{Tiers: tiers("a")}}
	c.Backends[0].MaxAtoms = 1
	e := newEngine(t, c)
	made := make(chan error, 1)
	go func() {
		_, err := e.Create(&atom.EngineCreateRequest{Image: "x", Owner: "one"})
		made <- err
	}()
	eventually(t, "a Create under way", func() bool { return f.asked("create") == 1 })
	if _, err := e.Create(&atom.EngineCreateRequest{Image: "x", Owner: "two"}); err != nil {
		t.Error(err)
	}
	close(going)
	if err := <-made; err != nil {
		t.Error(err)
	}
}

// odd engines cannot be compared.
type odd struct {
	*fake
	settings any
}

func TestReloadOfOddEngines(t *testing.T) {
	o := odd{with("k"), map[string]int{}}
	e := newEngine(t, Config{Backends: backends(o), Default: Rule{Tiers: tiers("a")}})
	if err := e.Reload(t.Context(), changed(e, func(*Config) {})); err != nil {
		t.Error(err)
	}
}

// Logs whose context has ended let go of their backend, closed or not.
func TestCancelledLogsLetGo(t *testing.T) {
	in, out := io.Pipe()
	defer out.Close()
	f := with("")
	f.logs = func(*atom.EngineLogsRequest) (io.ReadCloser, error) { return in, nil }
	e := newEngine(t, Config{Backends: backends(f), Default: Rule{Tiers: tiers("a")}})
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := e.Logs(&atom.EngineLogsRequest{ID: "a:1", Context: ctx}); err != nil {
		t.Fatal(err)
	}
	cancel()
	eventually(t, "nobody to hold it", func() bool { return e.using("a") == 0 })
}
