package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/atom-router/atom-router/router"
)

// healthTimeout is for a daemon to say that it serves.
const healthTimeout = 5 * time.Second

func (a *app) healthCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "health",
		Short: "Ask whether a daemon serves",
		Long: `Ask the daemon, by grpc.health.v1, whether it serves; exit with 0 if it does, for
probes. It says nothing of its backends: atom-router backends does. Without
--address it is the daemon of this machine whose socket the config names.`,
		Example: `  atom-router health
  atom-router health --address unix:///run/atom-router/engine.sock`,
		Args: none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			e, err := a.daemonOrOwn()
			if err != nil {
				return err
			}
			ctx, stop := untilInterrupted(cmd.Context())
			defer stop()
			ctx, cancel := context.WithTimeout(ctx, healthTimeout)
			defer cancel()
			// To be connected is to have been told.
			return a.withRemote(ctx, e, func(*router.Remote) error {
				if a.output == outputJSON {
					return a.printJSON(map[string]any{"address": e.Address, "serving": true})
				}
				_, err := fmt.Fprintf(a.stdout, "the daemon at %s serves\n", e.Address)
				return err
			})
		},
	}
}
