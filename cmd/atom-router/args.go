package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// exactly wants n arguments, called what.
func exactly(n int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != n {
			return usage(fmt.Errorf("%s takes %d %s, got %d; see %s --help", cmd.Name(), n, what, len(args), cmd.CommandPath()))
		}
		return nil
	}
}

// some wants at least one argument, called what.
func some(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return usage(fmt.Errorf("%s takes at least one %s; see %s --help", cmd.Name(), what, cmd.CommandPath()))
		}
		return nil
	}
}

// none wants no arguments.
func none(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usage(fmt.Errorf("%s takes no arguments, got %q", cmd.Name(), args[0]))
	}
	return nil
}

// atMost wants n arguments or fewer, called what.
func atMost(n int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) > n {
			return usage(fmt.Errorf("%s takes at most %d %s, got %d; see %s --help", cmd.Name(), n, what, len(args), cmd.CommandPath()))
		}
		return nil
	}
}

// unknownVerb is for commands whose arguments can only be verbs: one that is
// there never gets here.
func unknownVerb(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	cmd.SuggestionsMinimumDistance = 2
	text := fmt.Sprintf("unknown command %q for %q", args[0], cmd.CommandPath())
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		text += "; did you mean " + strings.Join(near, ", ") + "?"
	} else {
		text += fmt.Sprintf("; %s --help lists them", cmd.CommandPath())
	}
	return usage(errors.New(text))
}

// parseTime reads a time, or how long ago one was. "" is no time.
func parseTime(flag, s string, now time.Time) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if d, err := time.ParseDuration(s); err == nil {
		return now.Add(-d), nil
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return t, usage(fmt.Errorf("--%s %q is neither a time as 2026-11-23T10:00:00Z nor a duration as 10m", flag, s))
	}
	return t, nil
}
