package config

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/atom-router/atom-router/router"
)

// SGR sequences; see ECMA-48.
const (
	styleError   = "\x1b[1;31m"
	styleWarning = "\x1b[1;33m"
	styleBold    = "\x1b[1m"
	styleFaint   = "\x1b[2m"
	styleReset   = "\x1b[0m"
)

// WriteText shows the diagnostics to people: each with its place, source line
// and, with and without colour, carets under what it is about.
//
//	Error: unknown backend "gpuu"
//	  on config.hcl line 12, in rule "cuda":
//
//	    12 |   backends = { gpuu = 3 }
//	       |                ^^^^
//
//	  Did you mean "gpu"?
func (ds Diagnostics) WriteText(w io.Writer, color bool) error {
	out := bufio.NewWriter(w)
	style := func(code, s string) string {
		if !color || s == "" {
			return s
		}
		return code + s + styleReset
	}
	for i, d := range ds {
		if i > 0 {
			fmt.Fprintln(out)
		}
		kind := style(styleError, "Error:")
		mark := styleError
		if d.Severity == router.SeverityWarning {
			kind, mark = style(styleWarning, "Warning:"), styleWarning
		}
		fmt.Fprintf(out, "%s %s\n", kind, style(styleBold, d.Summary))
		lines := d.source.excerpts(d.Range)
		if len(lines) == 0 {
			fmt.Fprintf(out, "  on %s\n", d.Range.Filename)
		} else {
			in := ""
			if d.in != "" {
				in = ", in " + d.in
			}
			fmt.Fprintf(out, "  on %s line %d%s:\n\n", d.Range.Filename, d.Range.Start.Line, in)
		}
		margin := 0
		if len(lines) > 0 {
			margin = len(strconv.Itoa(lines[len(lines)-1].number))
		}
		for _, l := range lines {
			number := fmt.Sprintf("%*d |", margin, l.number)
			fmt.Fprintf(out, "    %s\n", strings.TrimRight(style(styleFaint, number)+" "+l.line, " "))
			fmt.Fprintf(out, "    %s %s%s\n", style(styleFaint, strings.Repeat(" ", margin)+" |"),
				strings.Repeat(" ", l.from), style(mark, strings.Repeat("^", l.to-l.from)))
		}
		if d.Detail != "" {
			fmt.Fprintln(out)
			for line := range strings.SplitSeq(d.Detail, "\n") {
				fmt.Fprintf(out, "  %s\n", line)
			}
		}
	}
	return out.Flush()
}
