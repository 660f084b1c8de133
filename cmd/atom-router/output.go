package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/internal/plain"
)

const (
	outputTable = "table"
	outputJSON  = "json"
	outputID    = "id"
)

// atomJSON is an atom as programs read it: a stable contract, documented in
// docs/command-line.md. Absent values are null.
type atomJSON struct {
	ID        string            `json:"id"`
	Backend   string            `json:"backend"`
	Name      *string           `json:"name"`
	Image     *string           `json:"image"`
	State     string            `json:"state"`
	Result    string            `json:"result"`
	ExitCode  *int              `json:"exitCode"`
	Message   *string           `json:"message"`
	CreatedAt *string           `json:"createdAt"`
	StartedAt *string           `json:"startedAt"`
	StoppedAt *string           `json:"stoppedAt"`
	Labels    map[string]string `json:"labels"`
	Rule      *string           `json:"rule"`
}

func toJSON(a atom.Atom) atomJSON {
	info := atom.InfoOf(a)
	return atomJSON{
		ID: info.ID, Backend: backendOf(info.ID), Name: orNull(info.Name), Image: orNull(info.Image),
		State: string(info.State), Result: string(info.Result), ExitCode: info.ExitCode, Message: orNull(info.Message),
		CreatedAt: timeOrNull(info.CreatedAt), StartedAt: timeOrNull(info.StartedAt), StoppedAt: timeOrNull(info.StoppedAt),
		Labels: info.Labels, Rule: orNull(info.Rule),
	}
}

func backendOf(id string) string {
	name, _, _ := strings.Cut(id, ":")
	return name
}

func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func timeOrNull(t time.Time) *string {
	if t.IsZero() {
		return nil
	}
	s := t.UTC().Format(time.RFC3339Nano)
	return &s
}

func (a *app) printJSON(v any) error {
	enc := json.NewEncoder(a.stdout)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// printAtom prints one atom in the form that was asked for.
func (a *app) printAtom(one atom.Atom) error {
	switch a.output {
	case outputJSON:
		return a.printJSON(toJSON(one))
	case outputID:
		_, err := fmt.Fprintln(a.stdout, one.ID())
		return err
	}
	return a.printTable([]atom.Atom{one})
}

// printMade prints an atom that was just made: its ID, unless JSON was asked
// for.
func (a *app) printMade(one atom.Atom) error {
	if a.output == outputJSON {
		return a.printAtom(one)
	}
	_, err := fmt.Fprintln(a.stdout, one.ID())
	return err
}

// printAtoms prints a list.
func (a *app) printAtoms(atoms []atom.Atom) error {
	switch a.output {
	case outputJSON:
		list := make([]atomJSON, len(atoms))
		for i, one := range atoms {
			list[i] = toJSON(one)
		}
		return a.printJSON(list)
	case outputID:
		for _, one := range atoms {
			if _, err := fmt.Fprintln(a.stdout, one.ID()); err != nil {
				return err
			}
		}
		return nil
	}
	return a.printTable(atoms)
}

func (a *app) printTable(atoms []atom.Atom) error {
	return a.table(atomHeading, func(w io.Writer) {
		for _, one := range atoms {
			row(w, atomRow(atom.InfoOf(one))...)
		}
	})
}

const atomHeading = "ID\tNAME\tIMAGE\tSTATE\tRESULT\tEXIT\tCREATED\tRULE"

func atomRow(info atom.Info) []string {
	code := ""
	if info.ExitCode != nil {
		code = fmt.Sprint(*info.ExitCode)
	}
	return []string{info.ID, info.Name, info.Image, string(info.State), resultText(info), code, ago(info.CreatedAt), info.Rule}
}

// resultText is empty for an atom that has none yet.
func resultText(info atom.Info) string {
	if info.Result == atom.Unknown && !info.State.Done() {
		return ""
	}
	return string(info.Result)
}

// table prints rows under a heading, in columns.
func (a *app) table(heading string, rows func(io.Writer)) error {
	w := tabwriter.NewWriter(a.stdout, 0, 8, 3, ' ', 0)
	fmt.Fprintln(w, heading)
	rows(w)
	return w.Flush()
}

// row prints one row. What came from elsewhere cannot break the table, nor
// play with the terminal.
func row(w io.Writer, cells ...string) {
	safe(cells)
	fmt.Fprintln(w, strings.Join(cells, "\t"))
}

// safe makes a row's cells fit for a table.
func safe(cells []string) {
	for i, c := range cells {
		cells[i] = printable(c)
		if cells[i] == "" {
			cells[i] = "-"
		}
	}
}

func printable(s string) string { return plain.Line(s) }

// harmless is text for the terminal that came from elsewhere and may have
// several lines.
func harmless(s string) string { return plain.Text(s) }

// ago is how long ago something was, in its largest unit.
func ago(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	d := time.Since(t)
	switch {
	case d < time.Second:
		return "just now"
	case d < time.Minute:
		return fmt.Sprintf("%ds ago", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm ago", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh ago", int(d.Hours()))
	}
	return fmt.Sprintf("%dd ago", int(d.Hours()/24))
}
