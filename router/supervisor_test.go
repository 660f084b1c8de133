package router

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/containerd/errdefs"
	"github.com/hashicorp/go-hclog"

	"github.com/atom-router/atom-router/atom"
)

// plug stands for a plugin: something that is started, and dies.
type plug struct {
	engine atom.Engine
	fail   error         // of the next starts
	takes  time.Duration // to start
	deaf   bool          // to pings

	mu     sync.Mutex
	starts int
	closed atomic.Int32
	live   chan struct{} // of the present life
}

func (p *plug) start(ctx context.Context) (*instance, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.starts++
	if p.takes > 0 {
		t := time.NewTimer(p.takes)
		defer t.Stop()
		select {
		case <-t.C:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if p.fail != nil {
		return nil, p.fail
	}
	i := inProcess(p.engine)
	p.live = make(chan struct{})
	i.done = p.live
	i.why = func() error { return errors.New("killed") }
	i.close = func() error { p.closed.Add(1); return nil }
	i.ping = func(context.Context) error {
		if p.deaf {
			return errDown
		}
		return nil
	}
	return i, nil
}

func (p *plug) kill() { close(p.live) }

// plugged returns a router whose backend "a" is p.
func plugged(t *testing.T, p *plug, more ...atom.Engine) *Engine {
	t.Helper()
	e := newEngine(t, Config{Backends: backends(append([]atom.Engine{p.engine}, more...)...), Default: Rule{Tiers: tiers("a")}})
	e.now.backends[0].supervisor = newSupervisor(hclog.NewNullLogger(), e.options.StartTimeout, p.start)
	return e
}

func TestStartIsShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &plug{engine: with("k"), takes: 3 * time.Second}
		e := plugged(t, p)
		defer e.Close()
		if s := e.Backends()[0]; s.State != Idle || p.starts != 0 {
			t.Errorf("state %v after %d starts, before any call", s.State, p.starts)
		}
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				if _, err := e.Get(&atom.EngineGetRequest{ID: "a:ns/a1:x"}); err != nil {
					t.Error(err)
				}
			})
		}
		// One caller's end is not the others'.
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := e.Get(&atom.EngineGetRequest{ID: "a:ns/a1:x", Context: ctx}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a caller in a hurry: %v", err)
		}
		if s := e.Backends()[0]; s.State != Starting {
			t.Errorf("state %v meanwhile", s.State)
		}
		wg.Wait()
		if p.starts != 1 {
			t.Errorf("%d starts", p.starts)
		}
		if s := e.Backends()[0]; s.State != Ready || s.Restarts != 0 || s.LastError != nil {
			t.Errorf("status %+v", s)
		}
	})
}

func TestStartIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &plug{engine: &fake{}, takes: time.Hour}
		e := plugged(t, p)
		defer e.Close()
		began := time.Now()
		_, err := e.Get(&atom.EngineGetRequest{ID: "a:1"})
		if !errdefs.IsUnavailable(err) || time.Since(began) != 15*time.Second {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
	})
}

func TestDeadPluginIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &plug{engine: with("k")}
		e := plugged(t, p)
		defer e.Close()
		get := func() error { return second(e.Get(&atom.EngineGetRequest{ID: "a:ns/a1:x"})) }
		if err := get(); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		for n := range 4 { // the last ones within the back-off of those before
			p.kill()
			if err := get(); err != nil {
				t.Errorf("after kill %d: %v", n+1, err)
			}
			if n == 0 && time.Since(began) > 0 {
				t.Errorf("the first restart waited %v", time.Since(began))
			}
		}
		if time.Since(began) == 0 {
			t.Error("no back-off between four ends in a row")
		}
		if s := e.Backends()[0]; s.State != Ready || s.Restarts != 4 || s.LastError == nil || s.LastError.Error() != "killed" {
			t.Errorf("status %+v", s)
		}
		time.Sleep(2 * stableAfter)
		began = time.Now()
		p.kill()
		synctest.Wait()
		if s := e.Backends()[0]; s.State != BackingOff {
			t.Errorf("state %v of a dead plugin", s.State)
		}
		if err := get(); err != nil || time.Since(began) > 0 {
			t.Errorf("after a stable while: %v after %v", err, time.Since(began))
		}
		if n := p.closed.Load(); n != 5 {
			t.Errorf("%d of 5 dead plugins were cleared away", n)
		}
	})
}

func TestCallOfDyingPluginIsAskedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := with("k")
		p := &plug{engine: f}
		e := plugged(t, p)
		defer e.Close()
		die := func() error {
			if p.starts == 1 {
				p.deaf = true
				time.AfterFunc(20*time.Millisecond, p.kill) // seen later than the broken connection
				return atom.Errorf(errdefs.ErrUnavailable, "connection reset")
			}
			return nil
		}
		f.get = func(*atom.EngineGetRequest) error { return die() }
		if _, err := e.Get(&atom.EngineGetRequest{ID: "a:ns/a1:x"}); err != nil || f.asked("get") != 2 {
			t.Errorf("%v after %d calls", err, f.asked("get"))
		}
		p.deaf = false
		f.get = func(*atom.EngineGetRequest) error { return errDown }
		if _, err := e.Get(&atom.EngineGetRequest{ID: "a:ns/a1:x"}); !errdefs.IsUnavailable(err) || f.asked("get") != 3 {
			t.Errorf("with the plugin alive: %v after %d calls", err, f.asked("get"))
		}
	})
}

func TestCreateAtDyingPlugin(t *testing.T) {
	for _, test := range []struct {
		name    string
		before  bool  // the plugin dies before it made the atom
		fail    error // of the next start
		can     atom.Capabilities
		unknown bool
		creates int
	}{
		{name: "made", creates: 2},
		{name: "not made", before: true, creates: 2},
		{name: "and cannot be started again", fail: errDown, unknown: true, creates: 1},
		{name: "without lookup", can: atom.Capabilities{atom.CapImages}, unknown: true, creates: 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, spare := &fake{can: test.can}, &fake{}
				p := &plug{engine: f}
				e := plugged(t, p, spare)
				defer e.Close()
				e.now.config.Default.Tiers = tiers("a", "b")
				die := func(*atom.EngineCreateRequest) error {
					if p.starts > 1 || f.asked("create") > 1 {
						return nil
					}
					p.kill()
					p.fail = test.fail
					return atom.Errorf(errdefs.ErrUnavailable, "connection reset")
				}
				if test.before {
					f.create = die
				} else {
					f.after = die
				}
				a, err := e.Create(&atom.EngineCreateRequest{Image: "x"})
				var unknown *atom.OutcomeUnknown
				if errors.As(err, &unknown) != test.unknown || err == nil && !strings.HasPrefix(a.ID(), "a:") {
					t.Errorf("%v, %v", a, err)
				}
				if n := f.asked("create"); n != test.creates || spare.asked("create") > 0 {
					t.Errorf("asked %d times, want %d; the other backend %d times", n, test.creates, spare.asked("create"))
				}
				if len(f.atoms) > 1 {
					t.Errorf("%d atoms", len(f.atoms))
				}
			})
		})
	}
}

func TestBrokenPlugin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &plug{engine: &fake{}, fail: atom.Errorf(errdefs.ErrNotFound, "no such binary")}
		e := plugged(t, p, with("k"))
		defer e.Close()
		get := func() error { return second(e.Get(&atom.EngineGetRequest{ID: "a:1"})) }
		for range 100 { // fast, by the first one's word
			err := get()
			if !errdefs.IsUnavailable(err) || errdefs.IsNotFound(err) || err.Error() != "get a:1: no such binary" {
				t.Fatalf("%v", err)
			}
		}
		if p.starts != 1 {
			t.Errorf("%d starts for 100 calls", p.starts)
		}
		if s := e.Backends()[0]; s.State != BackingOff {
			t.Errorf("state %v", s.State)
		}
		if _, err := e.Get(&atom.EngineGetRequest{ID: "b:ns/a1:x"}); err != nil {
			t.Errorf("the other backend: %v", err)
		}
		for time.Sleep(time.Minute); p.starts < breakerAfter; time.Sleep(time.Minute) {
			get()
		}
		if s := e.Backends()[0]; s.State != Failed {
			t.Errorf("state %v after %d starts that never got ready", s.State, p.starts)
		}
		p.fail = nil
		if _, err := e.Get(&atom.EngineGetRequest{ID: "a:1"}); !errdefs.IsNotFound(err) {
			t.Errorf("mended, after the breaker's while: %v", err)
		}
	})
}

func TestBrokenConfig(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &plug{engine: &fake{}, fail: &atom.FieldError{Field: "host", Reason: "is no URL"}}
		e := plugged(t, p, &fake{})
		defer e.Close()
		_, err := e.Get(&atom.EngineGetRequest{ID: "a:1"})
		if fields := atom.AsFieldErrors(err); !errdefs.IsInvalidArgument(err) {
			t.Errorf("%v with %v", err, fields)
		}
		var field *atom.FieldError
		if !errors.As(err, &field) || field.Field != "host" {
			t.Errorf("no FieldError in %v", err)
		}
		if s := e.Backends()[0]; s.State != Failed {
			t.Errorf("state %v", s.State)
		}
		e.now.config.Default.Tiers = tiers("a", "b")
		if a, err := e.Create(&atom.EngineCreateRequest{Image: "x"}); err != nil || !strings.HasPrefix(a.ID(), "b:") {
			t.Errorf("the others serve: %v, %v", a, err)
		}
		err = e.Validate(t.Context())
		if err == nil || err.Error() != "start on a: host: is no URL" {
			t.Errorf("Validate: %v", err)
		}
	})
}

func TestProbeBackends(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		down := &fake{probe: func() error { return errDown }}
		broken := &plug{engine: &fake{}, fail: errors.New("no binary")}
		e := plugged(t, broken, down, &fake{}, &fake{})
		defer e.Close()
		all, err := e.ProbeBackends(t.Context(), "a", "b", "c")
		if err != nil {
			t.Fatal(err)
		}
		for n, want := range []BackendState{BackingOff, Degraded, Ready} {
			if all[n].State != want || (want == Ready) != (all[n].LastError == nil) || (want == Ready) != (all[n].Capabilities != nil) {
				t.Errorf("%+v, want %v", all[n], want)
			}
		}
		if s := e.Backends()[3]; s.State != Idle {
			t.Errorf("one that was not named is %v", s.State)
		}
		down.probe = nil
		time.Sleep(2 * probeErrorKept)
		if all, err = e.ProbeBackends(t.Context(), "b"); err != nil || all[0].State != Ready {
			t.Errorf("mended: %+v, %v", all, err)
		}
	})
}

func TestCloseEndsStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &plug{engine: &fake{}, takes: 10 * time.Second}
		e := plugged(t, p)
		time.AfterFunc(time.Second, func() { e.Close() })
		began := time.Now()
		_, err := e.Get(&atom.EngineGetRequest{ID: "a:1"})
		if !errdefs.IsUnavailable(err) || time.Since(began) != time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		e.Close()
	})
}

// A plugin that answers no health call is replaced, whatever else it answers.
func TestHungPluginIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &plug{engine: with("k"), deaf: true}
		e := plugged(t, p)
		defer e.Close()
		get := &atom.EngineGetRequest{ID: "a:ns/a1:x"}
		if _, err := e.Get(get); err != nil {
			t.Fatal(err)
		}
		time.Sleep(pingMisses*pingInterval - time.Second)
		synctest.Wait()
		if s := e.Backends()[0]; s.State != Ready {
			t.Errorf("after too few health calls it is %s", s.State)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		s := e.Backends()[0]
		if s.State != BackingOff || p.closed.Load() != 1 || !strings.Contains(s.LastError.Error(), "hangs") {
			t.Errorf("it was closed %d times and is %s: %v", p.closed.Load(), s.State, s.LastError)
		}
		p.deaf = false
		if _, err := e.Get(get); err != nil || p.starts != 2 {
			t.Errorf("%v after %d starts", err, p.starts)
		}
	})
}

// A crash loop tells of each change of state in one line, however often it is
// asked for.
func TestCrashLoopIsQuiet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		p := &plug{engine: &fake{}, fail: errors.New("no binary")}
		e := plugged(t, p)
		e.now.backends[0].supervisor = newSupervisor(hclog.New(&hclog.LoggerOptions{Level: hclog.Info, Output: &log}), time.Second, p.start)
		for range 600 {
			if _, err := e.Get(&atom.EngineGetRequest{ID: "a:1"}); !errdefs.IsUnavailable(err) {
				t.Fatal(err)
			}
			time.Sleep(100 * time.Millisecond)
		}
		e.Close()
		lines := strings.Count(log.String(), "\n")
		if p.starts > breakerAfter+1 || lines != p.starts {
			t.Errorf("%d lines of %d starts in a minute:\n%s", lines, p.starts, log.String())
		}
	})
}

// What a daemon cannot do it may be able to do after its reload, which nobody
// tells us of: a Create is not refused for longer than that is believed.
func TestADaemonLearns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		engine := &fake{can: atom.Capabilities{atom.CapImages}}
		p := &plug{engine: engine}
		e := plugged(t, p)
		s := e.now.backends[0].supervisor
		s.start = func(ctx context.Context) (*instance, error) {
			i, err := p.start(ctx)
			i.renew = daemonRenew
			return i, err
		}
		r := &atom.EngineCreateRequest{Image: "x"}
		r.Spec.User = "1000"
		for _, after := range []time.Duration{0, daemonRenew} {
			time.Sleep(after)
			if _, err := e.Create(r); !errdefs.IsNotImplemented(err) {
				t.Errorf("before: %v", err)
			}
		}
		engine.can = everything()
		time.Sleep(daemonRenew + 1)
		if _, err := e.Create(r); err != nil {
			t.Errorf("after: %v", err)
		}
	})
}
