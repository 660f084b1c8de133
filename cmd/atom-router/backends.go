package main

import (
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/atom-router/atom-router/router"
)

// backendJSON is a backend as programs read it.
type backendJSON struct {
	Name         string   `json:"name"`
	Plugin       *string  `json:"plugin"`
	Version      *string  `json:"version"`
	State        string   `json:"state"`
	Since        *string  `json:"since"`
	Restarts     int      `json:"restarts"`
	LastError    *string  `json:"lastError"`
	Capabilities []string `json:"capabilities"`
	MaxAtoms     *int     `json:"maxAtoms"`
	Drain        bool     `json:"drain"`
}

func (a *app) backendsCommand() *cobra.Command {
	var watched bool
	cmd := &cobra.Command{
		Use:   "backends [NAME…]",
		Short: "Show how the backends do",
		Long: `Launch the backends' plugins, ask each whether what stands behind it answers,
and show how they do. The exit code is 1 if one of them is not ready. With
--watch, those that change are shown again, until Ctrl-C.`,
		Example: `  atom-router backends
  atom-router backends --watch
  atom-router backends -o json docker`,
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := untilInterrupted(cmd.Context())
			defer stop()
			return a.withFleet(ctx, func(r fleet) error {
				probe := func() ([]router.BackendStatus, error) { return r.ProbeBackends(ctx, args...) }
				if watched {
					return a.watchBackends(ctx, probe)
				}
				all, err := probe()
				if err != nil {
					return err
				}
				if err := a.printBackends(all); err != nil {
					return err
				}
				if slices.ContainsFunc(all, func(b router.BackendStatus) bool { return b.State != router.Ready }) {
					return exit(codeError)
				}
				return nil
			})
		},
	}
	addWatch(cmd, &watched)
	return cmd
}

func (a *app) printBackends(all []router.BackendStatus) error {
	if a.output == outputJSON {
		list := make([]backendJSON, len(all))
		for i, b := range all {
			list[i] = toBackendJSON(b)
		}
		return a.printJSON(list)
	}
	if a.output == outputID {
		for _, b := range all {
			if _, err := io.WriteString(a.stdout, b.Name+"\n"); err != nil {
				return err
			}
		}
		return nil
	}
	return a.table(backendHeading, func(w io.Writer) {
		for _, b := range all {
			row(w, backendRow(b)...)
		}
	})
}

func toBackendJSON(b router.BackendStatus) backendJSON {
	j := backendJSON{
		Name: b.Name, Plugin: orNull(b.Plugin), Version: orNull(b.Version), State: string(b.State),
		Since: timeOrNull(b.Since), Restarts: b.Restarts, LastError: orNull(errorText(b.LastError)), Drain: b.Drain,
	}
	if b.MaxAtoms > 0 {
		j.MaxAtoms = &b.MaxAtoms
	}
	if b.Capabilities != nil {
		j.Capabilities = []string{}
		for _, c := range b.Capabilities {
			j.Capabilities = append(j.Capabilities, string(c))
		}
	}
	return j
}

const backendHeading = "NAME\tPLUGIN\tVERSION\tSTATE\tSINCE\tRESTARTS\tDRAIN\tERROR"

func backendRow(b router.BackendStatus) []string {
	drain := ""
	if b.Drain {
		drain = "yes"
	}
	text := ""
	if b.State != router.Ready {
		text = errorText(b.LastError)
	}
	return []string{
		b.Name, b.Plugin, b.Version, string(b.State), ago(b.Since), strconv.Itoa(b.Restarts), drain, strings.ReplaceAll(text, "\n", " "),
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
