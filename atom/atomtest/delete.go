package atomtest

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/containerd/errdefs"

	"github.com/atom-router/atom-router/atom"
)

func deletePromises() []Promise {
	needs := []atom.Capability{atom.CapDelete}
	return []Promise{
		{"a deleted atom is gone for every call and from the list", needs, func(ctx context.Context, e *Env) error {
			a, _, err := e.Run(ctx, "print", "x")
			if err != nil {
				return err
			}
			if err := e.Delete(ctx, a.ID(), false); err != nil {
				return fmt.Errorf("deleting: %w", err)
			}
			for op, call := range e.byID(ctx) {
				if err := notFound(call(e.Owner, a.ID())); err != nil {
					return fmt.Errorf("%s: %w", op, err)
				}
			}
			list, err := e.List(ctx, a.CreatedAt(), time.Time{})
			if err != nil {
				return err
			}
			if index(list, a.ID()) >= 0 {
				return fmt.Errorf("the list shows it still")
			}
			return nil
		}},
		{"a running atom is not deleted without force", needs, func(ctx context.Context, e *Env) error {
			a, err := e.StartReady(ctx, "print", "ready", ";", "sleep", long)
			if err != nil {
				return err
			}
			err = e.Delete(ctx, a.ID(), false)
			if err := class(err, "FailedPrecondition", errdefs.IsFailedPrecondition); err != nil {
				return err
			}
			if a, err = e.Get(ctx, a.ID()); err != nil {
				return err
			}
			if a.State().Done() {
				return fmt.Errorf("the atom is %s; want running", describe(a))
			}
			return nil
		}},
		{"force deletes a running atom", needs, func(ctx context.Context, e *Env) error {
			a, err := e.StartReady(ctx, stubborn...)
			if err != nil {
				return err
			}
			if err := e.Delete(ctx, a.ID(), true); err != nil {
				return fmt.Errorf("deleting: %w", err)
			}
			_, err = e.Get(ctx, a.ID())
			return notFound(err)
		}},
		{"a log that is followed ends when its atom is deleted", needs, func(ctx context.Context, e *Env) error {
			a, err := e.StartReady(ctx, "print", "ready", ";", "sleep", long)
			if err != nil {
				return err
			}
			logs, err := e.Logs(ctx, a.ID(), nil)
			if err != nil {
				return err
			}
			defer logs.Close()
			if _, err := io.ReadFull(logs, make([]byte, len("ready\n"))); err != nil {
				return fmt.Errorf("reading the first line: %w", err)
			}
			if err := e.Delete(ctx, a.ID(), true); err != nil {
				return fmt.Errorf("deleting: %w", err)
			}
			return within(2*prompt, "the log of a deleted atom", func() error {
				_, _ = io.Copy(io.Discard, logs) // an error is as good as an end
				return nil
			})
		}},
		{"deletes at once remove it once, and the others find nothing", needs, func(ctx context.Context, e *Env) error {
			a, err := e.StartReady(ctx, "print", "ready", ";", "sleep", long)
			if err != nil {
				return err
			}
			return together(5, func(int) error {
				if err := e.Delete(ctx, a.ID(), true); err != nil && !errdefs.IsNotFound(err) {
					return err
				}
				_, err := e.Get(ctx, a.ID())
				return notFound(err)
			})
		}},
	}
}
