package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

func (a *app) completionCommand() *cobra.Command {
	shells := []string{"bash", "zsh", "fish", "powershell"}
	return &cobra.Command{
		Use:   "completion SHELL",
		Short: "Print a script that completes commands in your shell",
		Long: `Print a script for bash, zsh, fish or powershell. It completes commands, flags
and their values, and launches no plugin. bash needs its bash-completion package.`,
		Example: `  source <(atom-router completion bash)
  atom-router completion bash > /etc/bash_completion.d/atom-router
  atom-router completion zsh > "${fpath[1]}/_atom-router"
  atom-router completion fish > ~/.config/fish/completions/atom-router.fish
  atom-router completion powershell | Out-String | Invoke-Expression`,
		ValidArgs: shells,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 || !slices.Contains(shells, args[0]) {
				return usage(fmt.Errorf("completion takes one of %s", strings.Join(shells, ", ")))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			root := cmd.Root()
			switch args[0] {
			case "bash":
				return root.GenBashCompletionV2(a.stdout, true)
			case "zsh":
				return root.GenZshCompletion(a.stdout)
			case "fish":
				return root.GenFishCompletion(a.stdout, true)
			}
			return root.GenPowerShellCompletionWithDesc(a.stdout)
		},
	}
}

// withoutFiles keeps shells from offering files where IDs, images and names
// are meant.
func withoutFiles(cmd *cobra.Command) {
	for _, c := range cmd.Commands() {
		if c.ValidArgsFunction == nil && c.ValidArgs == nil && !slices.Contains(takeFiles(), c.Name()) {
			c.ValidArgsFunction = cobra.NoFileCompletions
		}
		withoutFiles(c)
	}
}

func takeFiles() []string { return []string{"validate", "describe", "test", "probe"} }
