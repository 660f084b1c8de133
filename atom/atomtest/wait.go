package atomtest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/containerd/errdefs"

	"github.com/atom-router/atom-router/atom"
)

func waitPromises() []Promise {
	return []Promise{
		{Name: "a wait returns once the atom has stopped, and not before", Check: func(ctx context.Context, e *Env) error {
			start := time.Now()
			a, err := e.Start(ctx, "sleep", "1500ms", ";", "exit", "7")
			if err != nil {
				return err
			}
			if a, err = e.Wait(ctx, a.ID()); err != nil {
				return err
			}
			if took := time.Since(start); took < 1500*time.Millisecond {
				return fmt.Errorf("a job of 1.5 s was over after %v", took)
			}
			got, err := e.Get(ctx, a.ID())
			if err != nil {
				return err
			}
			return errors.Join(ended(a, atom.Failure, 7), ended(got, atom.Failure, 7))
		}},
		{Name: "a wait on a stopped atom returns at once, as often as it is asked", Check: func(ctx context.Context, e *Env) error {
			a, _, err := e.Run(ctx)
			if err != nil {
				return err
			}
			for range 3 {
				err := within(prompt, "a wait", func() error {
					a, err := e.Wait(ctx, a.ID())
					if err != nil {
						return err
					}
					return ended(a, atom.Success, 0)
				})
				if err != nil {
					return err
				}
			}
			return nil
		}},
		{Name: "any number of waiters get the same end", Check: func(ctx context.Context, e *Env) error {
			a, err := e.StartReady(ctx, "trap", "5", ";", "print", "ready", ";", "sleep", long)
			if err != nil {
				return err
			}
			stopped := make(chan error, 1)
			err = together(20, func(i int) error {
				if i == 0 {
					stopped <- e.Stop(ctx, a.ID())
				}
				a, err := e.Wait(ctx, a.ID())
				if err != nil {
					return err
				}
				return ended(a, atom.Failure, 5)
			})
			return errors.Join(err, <-stopped)
		}},
		{Name: "a wait on an atom that was deleted meanwhile never hangs and reports no success", Needs: []atom.Capability{atom.CapDelete}, Check: func(ctx context.Context, e *Env) error {
			// Deleting it may send it SIGTERM first, and its end be seen.
			a, err := e.StartReady(ctx, "trap", "3", ";", "print", "ready", ";", "sleep", long)
			if err != nil {
				return err
			}
			type answer struct {
				atom atom.Atom
				err  error
			}
			answers := make(chan answer, 3)
			for range cap(answers) {
				go func() { // ends with the wait
					a, err := e.Engine.Wait(&atom.EngineWaitRequest{ID: a.ID(), Owner: e.Owner, Context: ctx})
					answers <- answer{a, err}
				}()
			}
			if err := e.Delete(ctx, a.ID(), true); err != nil {
				return fmt.Errorf("deleting: %w", err)
			}
			for range cap(answers) {
				select {
				case got := <-answers:
					switch {
					case errdefs.IsNotFound(got.err): // it came too late
					case got.err != nil:
						return fmt.Errorf("wait: %w", got.err)
					case got.atom.Result() == atom.Success:
						return errors.New("wait reports a success that nobody witnessed")
					case got.atom.State() != atom.Stopped && (got.atom.State() != atom.Deleted || got.atom.Result() != atom.Unknown):
						return fmt.Errorf("wait gave %s; want stopped, or deleted/unknown", describe(got.atom))
					}
				case <-time.After(2 * prompt):
					return fmt.Errorf("a wait has not returned %v after the delete", 2*prompt)
				}
			}
			return nil
		}},
	}
}
