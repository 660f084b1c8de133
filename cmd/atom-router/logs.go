package main

import (
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/atom-router/atom-router/atom"
)

func (a *app) logsCommand() *cobra.Command {
	var follow, timestamps bool
	var since, tail, stream string
	cmd := &cobra.Command{
		Use:   "logs [-f] [flags] ID",
		Short: "Print an atom's output",
		Long: `Print what an atom has written so far, its stdout to stdout and its stderr to
stderr where the backend tells them apart; with -f, all of it until it ends.`,
		Example: `  atom-router logs process:atom-7f3k…
  atom-router logs -f --tail 20 -t docker:3f9a…
  atom-router logs --stream stderr docker:3f9a…`,
		Args: exactly(1, "ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			req := &atom.EngineLogsRequest{ID: args[0], NoFollow: !follow, Timestamps: timestamps, Stream: atom.Stream(stream)}
			var err error
			if req.Since, err = parseTime("since", since, time.Now()); err != nil {
				return err
			}
			if req.Tail, err = parseTail(tail); err != nil {
				return err
			}
			switch req.Stream {
			case "", atom.Stdout, atom.Stderr:
			default:
				return usage(fmt.Errorf("--stream %q is none of stdout, stderr", stream))
			}
			ctx, stop := untilInterrupted(cmd.Context())
			defer stop()
			req.Context = ctx
			return a.withFleet(ctx, func(r fleet) error {
				logs, err := r.Logs(req)
				if err != nil {
					return err
				}
				defer logs.Close()
				err = atom.CopyLogs(a.stdout, a.stderr, logs)
				if ctx.Err() != nil {
					return exit(codeInterrupt)
				}
				return err
			})
		},
	}
	f := cmd.Flags()
	f.BoolVarP(&follow, "follow", "f", false, "go on until the atom has stopped")
	f.StringVar(&since, "since", "", "written at or after this `TIME` (RFC 3339), or so long ago (10m)")
	f.StringVarP(&tail, "tail", "n", "all", "begin at the last `N` lines")
	f.BoolVarP(&timestamps, "timestamps", "t", false, "put the time of writing before each line")
	f.StringVar(&stream, "stream", "", "only this `STREAM`, stdout or stderr, where the backend tells them apart")
	a.complete(cmd, "stream", string(atom.Stdout), string(atom.Stderr))
	return cmd
}

func parseTail(s string) (int, error) {
	if s == "all" {
		return 0, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 {
		return 0, usage(fmt.Errorf("--tail %q is neither a number of lines nor all", s))
	}
	if n == 0 {
		return atom.TailNone, nil
	}
	return n, nil
}
