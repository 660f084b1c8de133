package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/atom-router/atom-router/atom"
)

func (a *app) listCommand() *cobra.Command {
	var since, before string
	var states, backends, labels []string
	var watched, unsorted bool
	cmd := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls", "ps"},
		Short:   "List atoms, stopped ones too",
		Long: `List the atoms of all backends, stopped ones too, oldest first. Where a backend
does not answer, the others' atoms are listed, the error names it, and the exit
code is 1. With --watch, those that change are listed again, until Ctrl-C. With
--unsorted, they are printed while the backends find them.`,
		Example: `  atom-router list
  atom-router list --since 1h --state running --label team=ml
  atom-router list --watch -o json --label team=ml
  atom-router list -o id --state stopped --before 24h | xargs -r atom-router delete`,
		Args: none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if watched && unsorted {
				return usage(errors.New("--watch and --unsorted do not go together"))
			}
			now := time.Now()
			from, err := parseTime("since", since, now)
			if err != nil {
				return err
			}
			to, err := parseTime("before", before, now)
			if err != nil {
				return err
			}
			keep, err := filter(states, labels)
			if err != nil {
				return err
			}
			ctx, stop := untilInterrupted(cmd.Context())
			defer stop()
			return a.withFleet(ctx, func(r fleet) error {
				req := &atom.EngineListRequest{Since: from, Before: to, Context: ctx}
				if unsorted {
					return a.printFound(func(found func(atom.Atom) error) error { return r.StreamBackends(req, found, backends...) }, keep)
				}
				list := func() ([]atom.Atom, error) { return r.ListBackends(req, backends...) }
				if watched {
					return a.watchAtoms(ctx, list, keep)
				}
				atoms, err := list()
				if err != nil && atoms == nil {
					return err
				}
				if perr := a.printAtoms(slices.DeleteFunc(atoms, func(one atom.Atom) bool { return !keep(one) })); perr != nil {
					return perr
				}
				return err
			})
		},
	}
	addWatch(cmd, &watched)
	f := cmd.Flags()
	f.BoolVar(&unsorted, "unsorted", false, "print each as soon as it is found, in no order; JSON is then an object a line")
	f.StringVar(&since, "since", "", "created at or after this `TIME` (RFC 3339), or so long ago (10m)")
	f.StringVar(&before, "before", "", "created before this `TIME`")
	f.StringSliceVar(&states, "state", nil, "only these `STATES`: created, running, stopping, stopped, deleting, deleted, invalid")
	f.StringSliceVar(&backends, "backend", nil, "only these `BACKENDS`; the others are not asked")
	f.StringArrayVarP(&labels, "label", "l", nil, "only with this `LABEL`: K, or K=V")
	a.complete(cmd, "state", "created", "running", "stopping", "stopped", "deleting", "invalid")
	return cmd
}

// printFound prints atoms while stream finds them.
func (a *app) printFound(stream func(found func(atom.Atom) error) error, keep func(atom.Atom) bool) error {
	rows := a.newRows(atomHeading)
	err := stream(func(one atom.Atom) error {
		if !keep(one) {
			return nil
		}
		return a.printOne(rows, one)
	})
	if a.output == outputTable {
		if err := rows.print(nil); err != nil { // the heading, where there were none
			return err
		}
	}
	return err
}

// printOne prints an atom of which more follow: a row, or a line.
func (a *app) printOne(rows *rows, one atom.Atom) error {
	switch a.output {
	case outputJSON:
		return a.printLine(toJSON(one))
	case outputID:
		_, err := fmt.Fprintln(a.stdout, one.ID())
		return err
	}
	return rows.print([][]string{atomRow(atom.InfoOf(one))})
}

// filter says which atoms are wanted.
func filter(states, labels []string) (func(atom.Atom) bool, error) {
	for _, s := range states {
		if atom.ParseState(s) == atom.Invalid && s != string(atom.Invalid) {
			return nil, usage(fmt.Errorf("--state %q is none of created, running, stopping, stopped, deleting, deleted, invalid", s))
		}
	}
	return func(one atom.Atom) bool {
		if len(states) > 0 && !slices.Contains(states, string(one.State())) {
			return false
		}
		have := atom.InfoOf(one).Labels
		for _, l := range labels {
			k, v, valued := strings.Cut(l, "=")
			got, ok := have[k]
			if !ok || valued && got != v {
				return false
			}
		}
		return true
	}, nil
}
