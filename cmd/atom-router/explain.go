package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/atom-router/atom-router/router"
)

// explainJSON is a stable contract, documented in docs/command-line.md.
type explainJSON struct {
	Backend  *string     `json:"backend"`
	Rule     string      `json:"rule"`
	Rejected *string     `json:"rejected"`
	Trace    []traceJSON `json:"trace"`
}

type traceJSON struct {
	Rule    string `json:"rule"`
	Matched bool   `json:"matched"`
	Reason  string `json:"reason"`
}

func (a *app) explainCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "explain [flags] IMAGE [-- COMMAND ARG…]",
		Short: "Show which backend a job would go to, and why",
		Long: `Show which backend and rule a job would get, and of every other rule why it did
not match. Nothing is created and no plugin is launched, so that whether the
backend answers is not known.`,
		Example: `  atom-router explain alpine
  atom-router explain -o json --gpus 1 -l team=ml nvidia/cuda:12 | jq -r .rule`,
		Args: cobra.ArbitraryArgs,
	}
	flags := a.addRequestFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		req, err := flags.request(args)
		if err != nil {
			return err
		}
		return a.withFleet(cmd.Context(), func(r fleet) error {
			d, err := r.Explain(cmd.Context(), req)
			if err != nil {
				return err
			}
			if err := a.printDecision(d); err != nil {
				return err
			}
			if d.Rejected != "" {
				return exit(codeRejected)
			}
			return d.Err()
		})
	}
	return cmd
}

func (a *app) printDecision(d router.Decision) error {
	switch a.output {
	case outputJSON:
		out := explainJSON{Backend: orNull(d.Backend()), Rule: d.Rule, Rejected: orNull(d.Rejected), Trace: []traceJSON{}}
		for _, t := range d.Trace {
			out.Trace = append(out.Trace, traceJSON{t.Rule, t.Matched, t.Reason})
		}
		return a.printJSON(out)
	case outputID:
		_, err := fmt.Fprintln(a.stdout, d.Backend())
		return err
	}
	if d.Rejected != "" {
		fmt.Fprintf(a.stdout, "Rejected by %s: %s\n", ruleText(d.Rule), d.Rejected)
	} else if b := d.Backend(); b != "" {
		fmt.Fprintf(a.stdout, "Goes to backend %s by %s\n", b, ruleText(d.Rule))
	} else {
		fmt.Fprintf(a.stdout, "Goes nowhere by %s\n", ruleText(d.Rule))
	}
	fmt.Fprintln(a.stdout)
	if err := a.table("RULE\tMATCHED\tWHY", func(w io.Writer) {
		for _, t := range d.Trace {
			matched := "no"
			if t.Matched {
				matched = "yes"
			}
			row(w, t.Rule, matched, t.Reason)
		}
	}); err != nil {
		return err
	}
	if len(d.Candidates) < 2 {
		return nil
	}
	fmt.Fprintln(a.stdout)
	return a.table("BACKEND\tTIER\tWHY NOT", func(w io.Writer) {
		for _, c := range d.Candidates {
			row(w, c.Backend, fmt.Sprint(c.Tier+1), c.Reason)
		}
	})
}

func ruleText(rule string) string {
	if rule == router.DefaultRule {
		return "the default"
	}
	return fmt.Sprintf("rule %q", rule)
}
