package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/atom-router/atom-router/atom"
)

func (a *app) deleteCommand() *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use:     "delete [flags] ID…",
		Aliases: []string{"rm"},
		Short:   "Remove stopped atoms, their output and result",
		Example: `  atom-router delete docker:3f9a…
  atom-router rm --force docker:3f9a…`,
		Args: some("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.forEach(cmd.Context(), args, func(ctx context.Context, r fleet, id string) error {
				return r.Delete(&atom.EngineDeleteRequest{ID: id, Force: force, Context: ctx})
			})
		},
	}
	cmd.Flags().BoolVar(&force, "force", false, "stop running ones first, with SIGKILL")
	return cmd
}
