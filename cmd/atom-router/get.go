package main

import (
	"github.com/spf13/cobra"

	"github.com/atom-router/atom-router/atom"
)

func (a *app) getCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "get ID",
		Short: "Show an atom",
		Example: `  atom-router get process:atom-7f3k…
  atom-router get -o json docker:3f9a… | jq .exitCode`,
		Args: exactly(1, "ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := untilInterrupted(cmd.Context())
			defer stop()
			return a.withFleet(ctx, func(r fleet) error {
				one, err := r.Get(&atom.EngineGetRequest{ID: args[0], Context: ctx})
				if err != nil {
					return err
				}
				return a.printAtom(one)
			})
		},
	}
}
