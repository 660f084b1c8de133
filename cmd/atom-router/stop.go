package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/atom-router/atom-router/atom"
)

func (a *app) stopCommand() *cobra.Command {
	var force bool
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "stop [flags] ID…",
		Short: "Stop atoms and keep them",
		Long: `Send SIGTERM, and SIGKILL after the grace, and return when the atoms have
stopped. They are kept: get, logs and wait work until they are deleted.`,
		Example: `  atom-router stop docker:3f9a…
  atom-router stop --timeout 60s docker:3f9a…
  atom-router stop --force docker:3f9a…`,
		Args: some("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if timeout < 0 {
				return usage(fmt.Errorf("--timeout %v is negative", timeout))
			}
			return a.forEach(cmd.Context(), args, func(ctx context.Context, r fleet, id string) error {
				return r.Stop(&atom.EngineStopRequest{ID: id, Force: force, Timeout: timeout, Context: ctx})
			})
		},
	}
	cmd.Flags().BoolVar(&force, "force", false, "SIGKILL at once")
	cmd.Flags().DurationVar(&timeout, "timeout", 0, "`GRACE`; default is the atom's own, else the backend's")
	return cmd
}

// forEach does something to all atoms at once, and prints the IDs of those
// that it was done to, in the order given.
func (a *app) forEach(ctx context.Context, ids []string, do func(context.Context, fleet, string) error) error {
	ctx, stop := untilInterrupted(ctx)
	defer stop()
	return a.withFleet(ctx, func(r fleet) error {
		errs := make([]error, len(ids))
		var calls sync.WaitGroup
		for i, id := range ids {
			calls.Go(func() { errs[i] = do(ctx, r, id) })
		}
		calls.Wait()
		for i, id := range ids {
			if errs[i] == nil {
				fmt.Fprintln(a.stdout, id)
			}
		}
		return errors.Join(errs...)
	})
}
