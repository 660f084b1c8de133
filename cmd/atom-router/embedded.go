package main

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/atom-router/atom-router/internal/tracing"
	"github.com/atom-router/atom-router/plugin"
	"github.com/atom-router/atom-router/plugins/process"
)

// embeddedVerb starts this binary as a plugin that it carries in itself.
const embeddedVerb = "embedded-plugin"

// embedded gives the command lines of the plugins in this binary.
func embedded() (map[string][]string, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return map[string][]string{"process": {self, embeddedVerb, "process"}}, nil
}

func embeddedCommand() *cobra.Command {
	return &cobra.Command{
		Use: embeddedVerb + " NAME", Hidden: true, Args: cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs), ValidArgs: []string{"process"},
		Run: func(*cobra.Command, []string) { plugin.Serve(tracing.Traced(process.Plugin())) },
	}
}
