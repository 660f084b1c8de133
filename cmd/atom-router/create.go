package main

import (
	"github.com/spf13/cobra"
)

func (a *app) createCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "create [flags] IMAGE [-- COMMAND ARG…]",
		Short: "Create an atom and print its ID",
		Long:  "Create an atom on the backend that the rules choose, and print its ID. It starts by itself.",
		Example: `  atom-router create alpine -- sleep 60
  atom-router create --key nightly-2026-11-23 -l team=ml trainer:3`,
		Args: cobra.ArbitraryArgs,
	}
	flags := a.addRequestFlags(cmd)
	var quiet bool
	addQuiet(cmd, &quiet)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		req, err := flags.request(args)
		if err != nil {
			return err
		}
		ctx, stop := untilInterrupted(cmd.Context())
		defer stop()
		req.Context = ctx
		display := a.progress(req, quiet)
		return a.withFleet(ctx, func(r fleet) error {
			made, err := r.Create(req)
			display.over()
			if err != nil {
				return err
			}
			return a.printMade(made)
		})
	}
	return cmd
}
