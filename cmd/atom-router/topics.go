package main

import "github.com/spf13/cobra"

// topics are help texts without a verb.
func topics() []*cobra.Command {
	return []*cobra.Command{
		{
			Use: "exit-codes", Short: "What the exit codes mean",
			Long: `Exit codes:

  0     all is well; in run, and wait of one ID: the job succeeded
  1     an error, a missing atom included; the config is wrong
  2     the command line is wrong, a malformed ID included
  3     no rule matched, or a rule rejected the job (run, create, explain)
  125   in run: the router, the plugin or the backend failed, or the job never
        started, or ended without a code of its own
  126   in run and wait: the program is there and cannot be run, where the backend says so
  127   in run and wait: there is no such program, where the backend says so
  130   interrupted; in run: by a second Ctrl-C, and the job runs on
  141   the reader of the output went away; run says 125, and keeps the atom

In run, and in wait of one ID, any other code is the job's own; 128+n is the end
by signal n.`,
		},
		{
			Use: "config", Short: "Where the config is looked for",
			Long: `The config is the file given with --config, else that of $ATOM_ROUTER_CONFIG, else
the first that is there of:

  ./atom-router.hcl
  $XDG_CONFIG_HOME/atom-router/config.hcl (~/.config without XDG_CONFIG_HOME)
  /etc/atom-router/config.hcl

What stands in it is told in docs/config.md; validate checks it.`,
		},
	}
}
