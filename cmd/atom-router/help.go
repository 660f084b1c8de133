package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/atom-router/atom-router/router/config"
)

// environment is what every verb reads, in the order in which help shows it.
func environment() [][2]string {
	return [][2]string{
		{config.PathVariable, "the config file, where --config names none"},
		{"XDG_CONFIG_HOME", "where a config is looked for; ~/.config without it"},
		{"XDG_STATE_HOME", "where the process engine keeps its atoms; ~/.local/state without it"},
		{"NO_COLOR", "no colours, also on a terminal"},
	}
}

// printHelp is the help of every verb. Examples come first: they are what most
// people look for.
func printHelp(w io.Writer, cmd *cobra.Command) {
	section := func(title, text string) {
		if text = strings.Trim(text, "\n"); text != "" {
			fmt.Fprintf(w, "\n%s:\n%s\n", title, text)
		}
	}
	fmt.Fprintln(w, cmd.Short)
	section("Examples", cmd.Example)
	switch {
	case cmd.HasAvailableSubCommands():
		section("Usage", "  "+cmd.CommandPath()+" COMMAND")
	case cmd.Runnable():
		section("Usage", "  "+cmd.UseLine())
	}
	if len(cmd.Aliases) > 0 {
		section("Aliases", "  "+strings.Join(append([]string{cmd.Name()}, cmd.Aliases...), ", "))
	}
	if cmd.Long != "" {
		fmt.Fprintf(w, "\n%s\n", strings.Trim(cmd.Long, "\n"))
	}
	section("Commands", listing(cmd, func(c *cobra.Command) bool { return c.IsAvailableCommand() }))
	section("Flags", flagText(cmd.LocalNonPersistentFlags()))
	if cmd.HasParent() && (cmd.Runnable() || cmd.HasAvailableSubCommands()) {
		section("Flags of every command", flagText(cmd.InheritedFlags()))
	} else if !cmd.HasParent() {
		section("Flags of every command", flagText(cmd.PersistentFlags()))
	}
	if cmd.Runnable() {
		var b strings.Builder
		for _, v := range environment() {
			fmt.Fprintf(&b, "  %-19s %s\n", v[0], v[1])
		}
		section("Environment variables", b.String())
	}
	section("More help", listing(cmd, func(c *cobra.Command) bool { return c.IsAdditionalHelpTopicCommand() }))
}

// flagText is what pflag tells of flags, in our order of things: help itself
// goes without saying.
func flagText(flags *pflag.FlagSet) string {
	shown := pflag.NewFlagSet("", pflag.ContinueOnError)
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Name != "help" {
			shown.AddFlag(f)
		}
	})
	return shown.FlagUsages()
}

// listing lists those of a command's commands that are wanted.
func listing(cmd *cobra.Command, wanted func(*cobra.Command) bool) string {
	var b strings.Builder
	for _, c := range cmd.Commands() {
		if wanted(c) && c.Name() != "help" {
			fmt.Fprintf(&b, "  %-12s %s\n", c.Name(), c.Short)
		}
	}
	return b.String()
}

// helpCommand is `help [COMMAND]`. Unlike cobra's own it fails for what there
// is no help about.
func helpCommand() *cobra.Command {
	return &cobra.Command{
		Use: "help [COMMAND]", Short: "Show help about a command or topic",
		Example: "  atom-router help run\n  atom-router help exit-codes",
		RunE: func(cmd *cobra.Command, args []string) error {
			about, rest, err := cmd.Root().Find(args)
			if err != nil || about == nil || len(rest) > 0 {
				return usage(fmt.Errorf("there is no help about %q; atom-router help lists what there is", strings.Join(args, " ")))
			}
			return about.Help()
		},
	}
}
