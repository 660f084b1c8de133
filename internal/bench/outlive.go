package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/containerd/errdefs"
	"github.com/hashicorp/go-hclog"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/plugin"
	"github.com/atom-router/atom-router/router"
)

// endless is an engine of atoms that do not end before a Stop of any of them,
// which ends all, whatever their ID, and of "about", whose Name tells of the
// process.
type endless struct {
	waits, follows atomic.Int64
	ended          chan struct{}
	end            sync.Once
}

// about is what a plugin tells of itself.
type about struct {
	pid, waits, follows, goroutines int
}

func (e *endless) Get(r *atom.EngineGetRequest) (atom.Atom, error) {
	if r.ID == "about" {
		debug.FreeOSMemory()
		name := fmt.Sprint(os.Getpid(), e.waits.Load(), e.follows.Load(), runtime.NumGoroutine())
		return atom.New(atom.Info{ID: r.ID, Name: name, State: atom.Running}, e), nil
	}
	return atom.New(atom.Info{ID: r.ID, State: atom.Running}, e), nil
}

func (e *endless) List(*atom.EngineListRequest) ([]atom.Atom, error) { return nil, nil }

func (e *endless) Stop(*atom.EngineStopRequest) error {
	e.end.Do(func() { close(e.ended) })
	return nil
}

func (e *endless) Create(*atom.EngineCreateRequest) (atom.Atom, error) {
	return nil, atom.Errorf(errdefs.ErrNotImplemented, "nothing is made here")
}

func (e *endless) Wait(r *atom.EngineWaitRequest) (atom.Atom, error) {
	e.waits.Add(1)
	defer e.waits.Add(-1)
	select {
	case <-e.ended:
		return atom.New(atom.Info{ID: r.ID, State: atom.Stopped, Result: atom.Success}, e), nil
	case <-r.Context.Done():
		return nil, r.Context.Err()
	}
}

func (e *endless) Logs(r *atom.EngineLogsRequest) (io.ReadCloser, error) {
	e.follows.Add(1)
	ctx, cancel := context.WithCancel(r.Context)
	return atom.NewLogReader(&silence{e: e, ctx: ctx, cancel: cancel}, false), nil
}

// silence is a log with one line, and no end.
type silence struct {
	e      *endless
	ctx    context.Context
	cancel context.CancelFunc
	given  bool
	close  sync.Once
}

func (s *silence) Next() (atom.LogChunk, error) {
	if !s.given {
		s.given = true
		return atom.LogChunk{Data: []byte("a line\n"), Cursor: "1"}, nil
	}
	<-s.ctx.Done()
	return atom.LogChunk{}, s.ctx.Err()
}

func (s *silence) Close() error {
	s.close.Do(func() { s.e.follows.Add(-1); s.cancel() })
	return nil
}

// serveEndless is the plugin; one that crashes ends as soon as it is
// configured.
func serveEndless(crash bool) {
	plugin.Serve(plugin.Plugin[struct{}]{
		Name: "endless", Version: "bench", Capabilities: atom.Capabilities{atom.CapImages},
		New: func(context.Context, struct{}, hclog.Logger) (atom.Engine, error) {
			if crash {
				time.AfterFunc(10*time.Millisecond, func() { os.Exit(3) })
			}
			return &endless{ended: make(chan struct{})}, nil
		},
	})
}

// routerOver is a router with one backend, b.
func routerOver(ctx context.Context, child string) (*router.Engine, error) {
	return router.New(ctx, router.Config{
		Backends: []router.Backend{{Name: "b", Plugin: "bench"}},
		Default:  router.Rule{Tiers: []router.Tier{{Targets: []router.Target{{Backend: "b", Weight: 1}}}}},
	}, router.Options{Builtin: map[string][]string{"bench": {"/proc/self/exe", child}}, NoJanitor: true})
}

func ask(ctx context.Context, e *router.Engine) (about, error) {
	a, err := e.Get(&atom.EngineGetRequest{ID: "b:about", Context: ctx})
	if err != nil {
		return about{}, err
	}
	var told about
	_, err = fmt.Sscan(atom.InfoOf(a).Name, &told.pid, &told.waits, &told.follows, &told.goroutines)
	return told, err
}

// crowd is many Waits and follows at a router.
type crowd struct {
	end  context.CancelFunc
	all  sync.WaitGroup
	want about
}

func gather(ctx context.Context, e *router.Engine, waits, follows int) *crowd {
	c := &crowd{want: about{waits: waits, follows: follows}}
	ctx, c.end = context.WithCancel(ctx)
	for n := range waits {
		c.all.Go(func() {
			_, _ = e.Wait(&atom.EngineWaitRequest{ID: "b:" + strconv.Itoa(n), Context: ctx})
		})
	}
	for n := range follows {
		c.all.Go(func() {
			logs, err := e.Logs(&atom.EngineLogsRequest{ID: "b:" + strconv.Itoa(n), Context: ctx})
			if err == nil {
				_, _ = io.Copy(io.Discard, logs)
				logs.Close()
			}
		})
	}
	return c
}

// live returns when all of them are open at a plugin that is not that process.
func (c *crowd) live(ctx context.Context, e *router.Engine, not int) (about, error) {
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(2 * time.Millisecond) {
		told, err := ask(ctx, e)
		switch {
		case err == nil && told.pid != not && told.waits == c.want.waits && told.follows == c.want.follows:
			return told, nil
		case err != nil && !errdefs.IsUnavailable(err):
			return told, err
		case time.Now().After(deadline):
			return told, errors.Join(fmt.Errorf("only %d waits and %d follows are open", told.waits, told.follows), err)
		}
	}
}

func (c *crowd) leave() {
	c.end()
	c.all.Wait()
}

// measureRecovery kills a plugin under 1,000 Waits and 50 follows. Its
// baseline is the same crowd at a plugin that is started for it. Each round has
// a router of its own, whose first restart is not delayed.
func measureRecovery(ctx context.Context, rounds int) ([]figure, error) {
	const waits, follows = 1000, 50
	var starts []float64
	once := func(kill bool) (time.Duration, error) {
		e, err := routerOver(ctx, "child-endless")
		if err != nil {
			return 0, err
		}
		defer e.Close()
		began := time.Now()
		if !kill {
			_, err := ask(ctx, e)
			starts = append(starts, float64(time.Since(began))/float64(time.Millisecond))
			if err != nil {
				return 0, err
			}
		}
		c := gather(ctx, e, waits, follows)
		defer c.leave()
		told, err := c.live(ctx, e, 0)
		if err != nil || !kill {
			return time.Since(began), err
		}
		began = time.Now()
		if err := syscall.Kill(told.pid, syscall.SIGKILL); err != nil {
			return 0, err
		}
		_, err = c.live(ctx, e, told.pid)
		return time.Since(began), err
	}
	r, err := alternate(rounds,
		func() (time.Duration, error) { return once(false) },
		func() (time.Duration, error) { return once(true) })
	if err != nil {
		return nil, err
	}
	starts = starts[1:] // without the round that warms up, as in r
	recoveries := r.times(time.Millisecond)
	var toStart []float64
	for n := range starts {
		toStart = append(toStart, recoveries[n]/starts[n])
	}
	return []figure{
		{slug: "crowd", name: "Plugin killed under a crowd, until all are live again / the same crowd at a plugin that is started for it", values: r.ratios(), unit: "x", aim: 2, atMost: true,
			sides: r, detail: fmt.Sprintf("%s, %d Waits and %d follows", r.against(), waits, follows)},
		{slug: "start", name: "The same / the plugin's start with nobody waiting", values: toStart, unit: "x",
			detail: fmt.Sprintf("%.0f ms against %.0f ms", median(recoveries), median(starts))},
	}, nil
}

// measureCrashLoop tells what a plugin that always ends costs a router that is
// asked for it all the time.
func measureCrashLoop(ctx context.Context, _ int) ([]figure, error) {
	e, err := routerOver(ctx, "child-crash")
	if err != nil {
		return nil, err
	}
	defer e.Close()
	c := gather(ctx, e, 10, 0)
	defer c.leave()
	before := processorTime()
	for end := time.Now().Add(time.Minute); time.Now().Before(end) && ctx.Err() == nil; time.Sleep(100 * time.Millisecond) {
		go func() { _, _ = ask(ctx, e) }() // ends with its answer, within seconds
	}
	used := processorTime() - before
	return []figure{{slug: "processor", name: "Processor time of a plugin that always ends", values: []float64{used.Seconds() * 1000}, unit: "ms",
		detail: fmt.Sprintf("a minute, under 10 waits and 10 calls a second; %d launches", e.Backends()[0].Restarts+1)}}, nil
}

// processorTime is that of this process and of those of its children that have
// ended.
func processorTime() time.Duration {
	var all time.Duration
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var u syscall.Rusage
		if syscall.Getrusage(who, &u) == nil {
			all += time.Duration(u.Utime.Nano() + u.Stime.Nano())
		}
	}
	return all
}
