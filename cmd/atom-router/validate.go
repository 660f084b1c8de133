package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/router"
	"github.com/atom-router/atom-router/router/config"
)

func (a *app) validateCommand() *cobra.Command {
	var plugins bool
	cmd := &cobra.Command{
		Use:   "validate [--plugins] [FILE]",
		Short: "Check the config",
		Long: `Check the config and show every mistake with its place. The backends' own
config blocks are known to their plugins alone: --plugins launches all of them
and checks these too.`,
		Example: `  atom-router validate
  atom-router validate --plugins -o json ./atom-router.hcl`,
		Args: atMost(1, "FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			path := ""
			if len(args) == 1 {
				path = args[0]
			} else {
				var err error
				if path, err = config.Find(a.configPath); err != nil {
					return err
				}
			}
			ctx, stop := untilInterrupted(cmd.Context())
			defer stop()
			file, diags := a.readAll(path)
			var rest error
			if plugins && len(diags.Errors()) == 0 {
				var more config.Diagnostics
				more, rest = a.validatePlugins(ctx, file)
				diags = append(diags, more...)
			}
			return a.report(path, file, diags, rest, plugins)
		},
	}
	cmd.Flags().BoolVar(&plugins, "plugins", false, "launch every plugin and check its backend's config block")
	return cmd
}

// validatePlugins launches every plugin. What it finds wrong in the file comes
// as diagnostics, the rest as an error.
func (a *app) validatePlugins(ctx context.Context, file *config.File) (diags config.Diagnostics, rest error) {
	err := a.withRouterOf(ctx, file, func(r *router.Engine) error {
		err := r.Validate(ctx)
		// What a backend can do it says itself. That one does not answer is
		// no mistake in the config.
		backends, perr := r.ProbeBackends(ctx)
		if perr != nil {
			return errors.Join(err, perr)
		}
		known := make(map[string]atom.Capabilities)
		for _, b := range backends {
			if b.Capabilities != nil {
				known[b.Name] = b.Capabilities
			}
		}
		diags = file.CheckCapabilities(func(name string) (atom.Capabilities, bool) {
			cs, ok := known[name]
			return cs, ok
		})
		return err
	})
	found, rest := split(err)
	return append(diags, found...), rest
}

// split takes the diagnostics out of a tree of errors.
func split(err error) (config.Diagnostics, error) {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var diags config.Diagnostics
		var rest []error
		for _, e := range joined.Unwrap() {
			d, r := split(e)
			diags, rest = append(diags, d...), append(rest, r)
		}
		return diags, errors.Join(rest...)
	}
	var diags config.Diagnostics
	if errors.As(err, &diags) {
		return diags, nil
	}
	return nil, err
}

// report prints what was found, and exits with 1 if anything is wrong.
func (a *app) report(path string, file *config.File, diags config.Diagnostics, rest error, plugins bool) error {
	valid := len(diags.Errors()) == 0 && rest == nil
	if a.output == outputJSON {
		report := config.NewReport(diags)
		report.Valid = valid
		if err := a.printJSON(report); err != nil {
			return err
		}
	} else {
		a.printDiagnostics(diags)
		if valid {
			fmt.Fprintf(a.stdout, "%s is valid: %s, %s\n", path, count(len(file.Config.Backends), "backend"), count(len(file.Config.Rules), "rule"))
			if !plugins && len(file.Config.Backends) > 0 {
				fmt.Fprintln(a.stderr, "The backends' config blocks were not checked; --plugins does.")
			}
		}
	}
	switch {
	case rest != nil:
		return rest
	case !valid:
		return exit(codeError)
	}
	return nil
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
