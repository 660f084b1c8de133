package main

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"github.com/atom-router/atom-router/internal/exam"
	"github.com/atom-router/atom-router/router/config"
)

func (a *app) testCommand() *cobra.Command {
	var o exam.Options
	var settings, pattern string
	cmd := &cobra.Command{
		Use:   "test [flags] NAME-OR-PATH",
		Short: "Examine a plugin: does it keep what it promises",
		Long: `Launch a plugin, given by its name in configs or by the path of its binary in
whatever language, and check every promise of the contract that it claims: those
of engines on real atoms, which run a small probe program, and those of plugin
processes, which are killed, stopped and left alone for it. What became of each
promise is told as it comes, on stderr. The exit code is 0 only if all claimed
promises hold.

The atoms belong to an owner of their own, and are removed.
An engine that runs images needs the probe image, see plugin probe --help.`,
		Example: `  atom-router plugin test ./bin/atom-plugin-docker --config docker.hcl --image atomtest/probe:1
  atom-router plugin test ./my-plugin.py --run 'create|key' -o json
  atom-router plugin test process -o junit > report.xml`,
		Args:        exactly(1, "NAME-OR-PATH"),
		Annotations: map[string]string{formsKey: "table, json, junit"},
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.examine(cmd, args[0], settings, pattern, o)
		},
	}
	flags := cmd.Flags()
	flags.StringVarP(&settings, "config", "c", "", "`FILE` with the plugin's settings: what stands in a backend's config block")
	flags.StringVar(&pattern, "run", "", "check the promises whose names match the regular expression `PATTERN`; a space may be written as _")
	flags.StringVar(&o.Image, "image", "", "`IMAGE` of the probe as the engine knows it")
	flags.StringVar(&o.Program, "probe", "", "`PATH` of the probe program where atoms run, if it is not /probe or here")
	flags.StringVar(&o.Volume, "volume", "atomtest", "`NAME` of the volume that is mounted, and left behind; where volumes do not come by their use it must be there")
	flags.StringVar(&o.Scratch, "scratch", "", "`DIR` that is the same here and where atoms run, for mounts (default that of temporary files)")
	flags.IntVarP(&o.Parallel, "parallel", "p", 8, "check so many promises at the same time")
	flags.StringVarP(&a.output, "output", "o", outputTable, "output `FORM`: table, json or junit")
	a.complete(cmd, "output", outputTable, outputJSON, outputJUnit)
	return cmd
}

// examine is `plugin test`.
func (a *app) examine(cmd *cobra.Command, nameOrPath, settings, pattern string, o exam.Options) (err error) {
	if pattern != "" {
		if o.Run, err = regexp.Compile(pattern); err != nil {
			return usage(fmt.Errorf("--run %q: %w", pattern, err))
		}
	}
	if settings != "" {
		read, diags := config.ReadSettings(settings)
		if len(diags) > 0 {
			return diags
		}
		o.Settings = read
	}
	if o.Command, err = a.findPlugin(nameOrPath); err != nil {
		return err
	}
	o.Logger = a.logger()
	begun := false
	o.Progress = func(r exam.Result, left int) {
		begun = true
		if r.Outcome != exam.NotClaimed {
			fmt.Fprintf(a.stderr, "%s: %s (%s; %d to go)\n", r.Outcome, r.Promise, seconds(r.Took), left)
		}
		if r.Err != nil {
			fmt.Fprintf(a.stderr, "  %s\n", strings.ReplaceAll(harmless(r.Err.Error()), "\n", "\n  "))
		}
	}
	ctx, stop := untilInterrupted(cmd.Context())
	defer stop()
	report, err := exam.Run(ctx, o)
	var bad *exam.UsageError
	switch {
	case errors.As(err, &bad):
		return usage(err)
	case err != nil:
		return err
	}
	if begun && a.output == outputTable {
		fmt.Fprintln(a.stderr)
	}
	if err := a.printReport(report); err != nil {
		return err
	}
	if report.Left != nil {
		fmt.Fprintf(a.stderr, "Warning: %s\n", harmless(strings.TrimSpace(report.Left.Error())))
	}
	if report.Count(exam.Fail) > 0 {
		return exit(codeError)
	}
	return nil
}
