package atomtest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/atom-router/atom-router/atom"
)

// stubborn is a job that SIGTERM does not end: it says "noted" and goes on.
var stubborn = []string{"note", "noted", ";", "print", "ready", ";", "sleep", long}

// timed runs a stop and says how long it took.
func (e *Env) timed(ctx context.Context, r *atom.EngineStopRequest) (time.Duration, error) {
	start := time.Now()
	err := e.stop(ctx, r)
	return time.Since(start), err
}

// stopsIn is a promise about how a stubborn job is killed.
func stopsIn(name string, own time.Duration, r atom.EngineStopRequest, atLeast, atMost time.Duration) Promise {
	return Promise{Name: name, Check: func(ctx context.Context, e *Env) error {
		create := e.Request(stubborn...)
		create.Spec.StopTimeout = own
		a, err := e.ReadyFrom(ctx, create)
		if err != nil {
			return err
		}
		stop := r
		stop.ID = a.ID()
		took, err := e.timed(ctx, &stop)
		if err != nil {
			return err
		}
		if took < atLeast || took > atMost {
			return fmt.Errorf("the stop took %v; want %v to %v", took.Round(time.Millisecond), atLeast, atMost)
		}
		if a, err = e.Get(ctx, a.ID()); err != nil {
			return err
		}
		return ended(a, atom.Killed, 137)
	}}
}

func stopPromises() []Promise {
	return []Promise{
		{Name: "a stop ends the job with SIGTERM, and returns when it has stopped", Check: func(ctx context.Context, e *Env) error {
			a, err := e.StartReady(ctx, "print", "ready", ";", "sleep", long)
			if err != nil {
				return err
			}
			if err := e.Stop(ctx, a.ID()); err != nil {
				return err
			}
			if a, err = e.Get(ctx, a.ID()); err != nil {
				return err
			}
			if a.StoppedAt().IsZero() {
				return fmt.Errorf("the atom is %s, and has no time of its end", describe(a))
			}
			return ended(a, atom.Terminated, 143)
		}},
		{Name: "a clean exit after SIGTERM is a success", Check: func(ctx context.Context, e *Env) error {
			a, err := e.StartReady(ctx, "trap", "0", ";", "print", "ready", ";", "sleep", long)
			if err != nil {
				return err
			}
			if err := e.Stop(ctx, a.ID()); err != nil {
				return err
			}
			if a, err = e.Get(ctx, a.ID()); err != nil {
				return err
			}
			return ended(a, atom.Success, 0)
		}},
		{Name: "a stop keeps result, exit code and log", Check: func(ctx context.Context, e *Env) error {
			a, err := e.StartReady(ctx, "trap", "9", "bye", ";", "print", "ready", ";", "sleep", long)
			if err != nil {
				return err
			}
			if err := e.Stop(ctx, a.ID()); err != nil {
				return err
			}
			if a, err = e.Wait(ctx, a.ID()); err != nil {
				return err
			}
			list, err := e.List(ctx, a.CreatedAt(), a.CreatedAt().Add(1))
			if err != nil {
				return err
			}
			if index(list, a.ID()) < 0 {
				return errors.New("a stopped atom is not listed")
			}
			out, err := e.Read(ctx, a.ID(), nil)
			if err != nil {
				return err
			}
			return errors.Join(ended(a, atom.Failure, 9), same(out, []byte("ready\nbye\n")))
		}},
		stopsIn("a job that ignores SIGTERM is killed after the timeout", 2*time.Minute, atom.EngineStopRequest{Timeout: 2 * time.Second}, 1900*time.Millisecond, time.Minute),
		stopsIn("fractions of a second of a timeout round up", 2*time.Minute, atom.EngineStopRequest{Timeout: 1100 * time.Millisecond}, 1900*time.Millisecond, time.Minute),
		stopsIn("the smallest timeout is a second and not none", 2*time.Minute, atom.EngineStopRequest{Timeout: 1}, 900*time.Millisecond, time.Minute),
		// Between the engines' usual 10 seconds and Kubernetes' own 30.
		stopsIn("a stop without a timeout takes that of the spec", 12*time.Second, atom.EngineStopRequest{}, 11900*time.Millisecond, 25*time.Second),
		stopsIn("fractions of a second of the spec's timeout round up", 12100*time.Millisecond, atom.EngineStopRequest{}, 12900*time.Millisecond, 25*time.Second),
		stopsIn("force kills at once", 2*time.Minute, atom.EngineStopRequest{Force: true}, 0, time.Minute),
		stopsIn("force wins over a timeout", 2*time.Minute, atom.EngineStopRequest{Force: true, Timeout: 2 * time.Minute}, 0, time.Minute),
		{Name: "a stop of a stopped atom is no error", Check: func(ctx context.Context, e *Env) error {
			a, _, err := e.Run(ctx)
			if err != nil {
				return err
			}
			for _, r := range []atom.EngineStopRequest{{}, {Force: true}, {Timeout: time.Second}} {
				r.ID = a.ID()
				if err := e.stop(ctx, &r); err != nil {
					return err
				}
			}
			if a, err = e.Get(ctx, a.ID()); err != nil {
				return err
			}
			return ended(a, atom.Success, 0)
		}},
		{Name: "stops at once all return when it has stopped", Check: func(ctx context.Context, e *Env) error {
			a, err := e.ReadyFrom(ctx, e.Request("trap", "4", ";", "print", "ready", ";", "sleep", long))
			if err != nil {
				return err
			}
			return together(6, func(int) error {
				if err := e.Stop(ctx, a.ID()); err != nil {
					return err
				}
				now, err := e.Get(ctx, a.ID())
				if err != nil {
					return err
				}
				return ended(now, atom.Failure, 4)
			})
		}},
		{Name: "a job that is being stopped is stopping, then stopped, and never running again", Check: checkStopping},
		{Name: "a stop that was begun goes on without its caller", Check: func(ctx context.Context, e *Env) error {
			a, err := e.StartReady(ctx, stubborn...)
			if err != nil {
				return err
			}
			inner, cancel := context.WithCancel(ctx)
			defer cancel()
			stopped := make(chan error, 1)
			go func() { // ends with the stop
				stopped <- e.stop(inner, &atom.EngineStopRequest{ID: a.ID(), Timeout: seenWithin})
			}()
			if err := e.Seen(ctx, a.ID(), "noted\n"); err != nil {
				return err
			}
			cancel()
			if err := within(prompt, "a cancelled stop", func() error { return of(context.Canceled, <-stopped) }); err != nil {
				return err
			}
			if a, err = e.Wait(ctx, a.ID()); err != nil {
				return err
			}
			return ended(a, atom.Killed, 137)
		}},
		{Name: "force cuts short a grace under way", Needs: []atom.Capability{atom.CapStopEscalation}, Check: func(ctx context.Context, e *Env) error {
			a, err := e.StartReady(ctx, stubborn...)
			if err != nil {
				return err
			}
			stopped := make(chan error, 1)
			go func() { // ends with the stop
				stopped <- e.stop(ctx, &atom.EngineStopRequest{ID: a.ID(), Timeout: 10 * time.Minute})
			}()
			if err := e.Seen(ctx, a.ID(), "noted\n"); err != nil {
				return err
			}
			if err := within(time.Minute, "force", func() error { return e.stop(ctx, &atom.EngineStopRequest{ID: a.ID(), Force: true}) }); err != nil {
				return err
			}
			if err := within(prompt, "the stop before it", func() error { return <-stopped }); err != nil {
				return err
			}
			if a, err = e.Get(ctx, a.ID()); err != nil {
				return err
			}
			return ended(a, atom.Killed, 137)
		}},
		{Name: "the log of a killed atom stays", Needs: []atom.Capability{atom.CapLogsAfterKill}, Check: func(ctx context.Context, e *Env) error {
			a, err := e.StartReady(ctx, stubborn...)
			if err != nil {
				return err
			}
			if err := e.stop(ctx, &atom.EngineStopRequest{ID: a.ID(), Force: true}); err != nil {
				return err
			}
			out, err := e.Read(ctx, a.ID(), nil)
			if err != nil {
				return err
			}
			return same(out, []byte("ready\n"))
		}},
		{Name: "a grandchild that holds the output holds up neither wait nor log", Check: func(ctx context.Context, e *Env) error {
			a, err := e.Start(ctx, "print", "x", ";", "spawn", "45s", ";", "exit", "6")
			if err != nil {
				return err
			}
			return within(30*time.Second, "the end of a job with a grandchild", func() error {
				a, err := e.Wait(ctx, a.ID())
				if err != nil {
					return err
				}
				out, err := e.Read(ctx, a.ID(), nil)
				if err != nil {
					return err
				}
				return errors.Join(ended(a, atom.Failure, 6), same(out, []byte("x\n")))
			})
		}},
	}
}

// seenWithin is the grace of a stop that is looked at meanwhile: what a job
// writes at SIGTERM takes its time until it is seen, on a machine that is busy. It
// is not what the engines use by default.
const seenWithin = 8 * time.Second

func checkStopping(ctx context.Context, e *Env) error {
	a, err := e.StartReady(ctx, stubborn...)
	if err != nil {
		return err
	}
	stopped := make(chan error, 1)
	go func() { // ends with the stop
		stopped <- e.stop(ctx, &atom.EngineStopRequest{ID: a.ID(), Timeout: seenWithin})
	}()
	if err := e.Seen(ctx, a.ID(), "noted\n"); err != nil {
		return err
	}
	saw := false
	err = poll(ctx, "the atom to stop", func() (bool, error) {
		now, err := e.Get(ctx, a.ID())
		if err != nil {
			return false, err
		}
		switch now.State() {
		case atom.Stopping:
			saw = true
		case atom.Stopped:
			return true, nil
		default:
			return false, fmt.Errorf("after SIGTERM the atom is %s", describe(now))
		}
		return false, nil
	})
	if err != nil {
		return err
	}
	if !saw {
		return errors.New("the atom was never seen stopping in its grace")
	}
	return <-stopped
}
