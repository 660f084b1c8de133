package router

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/containerd/errdefs"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/internal/backoff"
)

// wide returns a router whose only rule leads to first and then to the rest.
func wide(t *testing.T, first atom.Engine, rest []atom.Engine) *Engine {
	bs := []Backend{{Name: "first", Engine: first}}
	then := Tier{}
	for n, e := range rest {
		bs = append(bs, Backend{Name: fmt.Sprintf("b%d", n), Engine: e})
		then.Targets = append(then.Targets, Target{Backend: bs[n+1].Name, Weight: 1})
	}
	return newEngine(t, Config{Backends: bs, Default: Rule{Tiers: []Tier{{Targets: []Target{{"first", 1}}}, then}}})
}

// Where all backends are overloaded, those who are turned away do not go to
// each of them.
func TestFailoversAreBounded(t *testing.T) {
	busy := &fake{create: fails(errDown)}
	var rest []atom.Engine
	for range 199 {
		rest = append(rest, &struct{ *fake }{busy}) // one engine, but not the same
	}
	e := wide(t, busy, rest)
	if _, err := e.Create(&atom.EngineCreateRequest{Image: "x"}); !errdefs.IsUnavailable(err) || busy.asked("create") != 200 {
		t.Fatalf("a Create alone asked %d of 200 backends: %v", busy.asked("create"), err)
	}
	const creates = 100
	var err error
	for range creates {
		_, err = e.Create(&atom.EngineCreateRequest{Image: "x"})
	}
	if !errdefs.IsUnavailable(err) || !strings.Contains(err.Error(), "too many Creates fail over") || !strings.Contains(err.Error(), "down") {
		t.Errorf("it says %v", err)
	}
	if n := busy.asked("create") - 200; n > 4*creates+600 {
		t.Errorf("%d Creates asked backends %d times", creates, n)
	}
	busy.create = nil
	if _, err := e.Create(&atom.EngineCreateRequest{Image: "x"}); err != nil {
		t.Errorf("after it: %v", err)
	}
}

// A backend that hangs keeps one Create waiting and not all that lead to it.
func TestHangingBackendIsPassed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hangs := &fake{probe: func() error { return errDown }}
		e := wide(t, hangs, []atom.Engine{&fake{}})
		create := func() time.Duration {
			began := time.Now()
			if a, err := e.Create(&atom.EngineCreateRequest{Image: "x"}); err != nil || !strings.HasPrefix(a.ID(), "b0:") {
				t.Errorf("%v, %v", a, err)
			}
			return time.Since(began)
		}
		create()
		asked := hangs.asked("probe")
		for range 100 {
			create()
			time.Sleep(time.Second)
		}
		if n := hangs.asked("probe") - asked; n < 3 || n > 15 {
			t.Errorf("it was asked %d times in a hundred seconds", n)
		}
		hangs.probe = func() error { time.Sleep(2 * probeTimeout); return errDown }
		time.Sleep(backoff.Probe.Most)
		var wg sync.WaitGroup
		var mu sync.Mutex
		var waited []time.Duration
		for range 10 {
			wg.Go(func() {
				d := create()
				mu.Lock()
				defer mu.Unlock()
				if d > 0 {
					waited = append(waited, d)
				}
			})
		}
		wg.Wait()
		if len(waited) != 1 {
			t.Errorf("of ten Creates these waited: %v", waited)
		}
		time.Sleep(time.Minute) // what the hanging probe holds
	})
}

// Nor does one that answered until now and takes every Create without an
// answer get more of them than came before that was seen.
func TestCreateThatHangsTells(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hangs := &fake{}
		e := wide(t, hangs, []atom.Engine{&fake{}})
		if _, err := e.Create(&atom.EngineCreateRequest{Image: "x"}); err != nil {
			t.Fatal(err)
		}
		hangs.create = func(*atom.EngineCreateRequest) error {
			time.Sleep(30 * time.Second)
			return &atom.OutcomeUnknown{Err: errDown}
		}
		hangs.probe = func() error { return errDown }
		var unknown *atom.OutcomeUnknown
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := e.Create(&atom.EngineCreateRequest{Image: "x"}); !errors.As(err, &unknown) {
				t.Errorf("the one that hangs: %v", err)
			}
		})
		time.Sleep(probeTimeout + time.Second)
		create := func(when string) {
			t.Helper()
			if a, err := e.Create(&atom.EngineCreateRequest{Image: "x"}); err != nil || !strings.HasPrefix(a.ID(), "b0:") {
				t.Errorf("%s: %v, %v", when, a, err)
			}
		}
		create("while it hangs")
		wg.Wait()
		create("once it has failed")
	})
}
