package main

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/spf13/cobra"

	"github.com/atom-router/atom-router/atom"
)

func (a *app) waitCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "wait ID…",
		Short: "Wait for atoms to stop",
		Long: `Wait for one atom to stop and exit with its code; or for several, print each
one's ID and code in the order given, and exit with 0.`,
		Example: `  atom-router wait docker:3f9a… && echo done
  atom-router list -o id --state running | xargs atom-router wait`,
		Args: some("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := untilInterrupted(cmd.Context())
			defer stop()
			return a.withFleet(ctx, func(r fleet) error {
				atoms, err := waitAll(ctx, r, args)
				if ctx.Err() != nil {
					return exit(codeInterrupt)
				}
				if len(args) == 1 {
					if err != nil {
						return err
					}
					if a.output != outputTable {
						if err := a.printAtom(atoms[0]); err != nil {
							return err
						}
					}
					return exit(jobCode(atoms[0]))
				}
				return errors.Join(a.printWaited(atoms), err)
			})
		},
	}
}

// waitAll waits for all at once. What could not be waited for is nil and in
// the error.
func waitAll(ctx context.Context, r fleet, ids []string) ([]atom.Atom, error) {
	atoms, errs := make([]atom.Atom, len(ids)), make([]error, len(ids))
	var waits sync.WaitGroup
	for i, id := range ids {
		waits.Go(func() { atoms[i], errs[i] = r.Wait(&atom.EngineWaitRequest{ID: id, Context: ctx}) })
	}
	waits.Wait()
	return atoms, errors.Join(errs...)
}

func (a *app) printWaited(atoms []atom.Atom) error {
	var there []atom.Atom
	for _, one := range atoms {
		if one != nil {
			there = append(there, one)
		}
	}
	if a.output != outputTable {
		return a.printAtoms(there)
	}
	for _, one := range there {
		if _, err := fmt.Fprintf(a.stdout, "%s %d\n", one.ID(), jobCode(one)); err != nil {
			return err
		}
	}
	return nil
}
