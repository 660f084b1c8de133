package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/containerd/errdefs"
	"github.com/spf13/cobra"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/internal/watch"
	"github.com/atom-router/atom-router/router"
)

func addWatch(cmd *cobra.Command, wanted *bool) {
	cmd.Flags().BoolVarP(wanted, "watch", "w", false, "go on with a line for each change, until Ctrl-C")
}

// watching calls look at its pace until ctx ends, which is how a watch ends.
// look reports whether anything changed.
func watching(ctx context.Context, look func() (changed bool, err error)) error {
	var pace watch.Pace
	for {
		began := time.Now()
		changed, err := look()
		switch {
		case ctx.Err() != nil:
			return exit(codeInterrupt)
		case err != nil:
			return err
		}
		again := time.NewTimer(pace.Next(changed, time.Since(began)))
		select {
		case <-again.C:
		case <-ctx.Done():
			again.Stop()
			return exit(codeInterrupt)
		}
	}
}

// watchAtoms prints the atoms that list gives, and then those that change.
func (a *app) watchAtoms(ctx context.Context, list func() ([]atom.Atom, error), keep func(atom.Atom) bool) error {
	var seen watch.Atoms
	rows := a.newRows(atomHeading)
	kept := make(map[string]bool) // what was printed and did not leave the filter
	return watching(ctx, func() (bool, error) {
		atoms, err := list()
		if ctx.Err() != nil || err != nil && !errdefs.IsUnavailable(err) {
			return false, err
		}
		changes := seen.Look(atoms, err)
		a.tellAway(changes)
		var more [][]string
		for _, info := range changes.Changed {
			one := atom.New(info, nil)
			wanted := keep(one) && info.State != atom.Deleted
			if !wanted && !kept[info.ID] {
				continue
			}
			// One that does not fit the filter any more is told a last time.
			if wanted {
				kept[info.ID] = true
			} else {
				delete(kept, info.ID)
			}
			if a.output == outputTable {
				more = append(more, atomRow(info))
				continue
			}
			if err := a.printOne(rows, one); err != nil {
				return false, err
			}
		}
		if a.output == outputTable {
			return !changes.None(), rows.print(more)
		}
		return !changes.None(), nil
	})
}

// tellAway says which backends do not answer any more, and which do again.
func (a *app) tellAway(c watch.AtomChanges) {
	for _, err := range c.Away {
		fmt.Fprintf(a.stderr, "%s; their atoms may have changed\n", harmless(err.Error()))
	}
	for _, name := range c.Back {
		if name == "" {
			fmt.Fprintln(a.stderr, "all answer again")
			continue
		}
		fmt.Fprintf(a.stderr, "%s answers again\n", name)
	}
}

// watchBackends prints how the backends do that probe asks, and then those
// that change.
func (a *app) watchBackends(ctx context.Context, probe func() ([]router.BackendStatus, error)) error {
	var seen watch.Backends
	var away bool
	rows := a.newRows(backendHeading)
	return watching(ctx, func() (bool, error) {
		all, err := probe()
		switch {
		case ctx.Err() != nil || err != nil && !errdefs.IsUnavailable(err):
			return false, err
		case err != nil:
			if !away {
				fmt.Fprintln(a.stderr, harmless(err.Error()))
			}
			changed := !away
			away = true
			return changed, nil
		}
		away = false
		changed := seen.Look(all)
		var more [][]string
		for _, b := range changed {
			switch a.output {
			case outputJSON:
				err = a.printLine(toBackendJSON(b))
			case outputID:
				_, err = fmt.Fprintln(a.stdout, b.Name)
			default:
				more = append(more, backendRow(b))
			}
			if err != nil {
				return false, err
			}
		}
		if a.output == outputTable {
			err = rows.print(more)
		}
		return len(changed) > 0, err
	})
}

// printLine prints JSON on one line.
func (a *app) printLine(v any) error {
	enc := json.NewEncoder(a.stdout)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}
