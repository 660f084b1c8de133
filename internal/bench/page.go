package main

import (
	"bytes"
	_ "embed"
	"fmt"
	"os"
	"strings"
	"text/template"
)

// page is where the results are read by people.
const page = "docs/performance.md"

//go:embed performance.md.tmpl
var pageText string

// writePage renders the page from its template and from the results that there
// are, which its tables show.
func writePage() error {
	text, err := renderPage(read)
	if err != nil {
		return err
	}
	return os.WriteFile(page, text, 0o644)
}

func renderPage(read func(measurement string) (results, error)) ([]byte, error) {
	t, err := template.New("page").Funcs(template.FuncMap{
		"table": func(measurements ...string) (string, error) { return table(read, measurements) },
	}).Parse(pageText)
	if err != nil {
		return nil, err
	}
	var text bytes.Buffer
	err = t.Execute(&text, nil)
	return text.Bytes(), err
}

// table are the figures of some measurements, one a row.
func table(read func(string) (results, error), measurements []string) (string, error) {
	var rows, taken strings.Builder
	var before string
	for _, m := range measurements {
		r, err := read(m)
		if err != nil {
			return "", fmt.Errorf("results of %s: %w", m, err)
		}
		if len(r.figures) == 0 {
			fmt.Fprintf(&rows, "| `%s` has not been measured | | | | |\n", m)
			continue
		}
		if where := r.where(); where != before {
			fmt.Fprintf(&taken, "%s: %s.\n", quoted(measurements, m, before == ""), where)
			before = where
		}
		for _, f := range r.figures {
			if f.name == "" {
				continue
			}
			name := f.name
			if f.detail != "" {
				name += " (" + f.detail + ")"
			}
			fmt.Fprintf(&rows, "| %s | %s | %s | %s | %s |\n", name, f.number(median(f.values)), f.spread(), f.bound(), f.verdict())
		}
	}
	return "| What, against what | Median | Range | Aim | |\n|---|---|---|---|---|\n" + rows.String() + "\n" + strings.TrimSpace(taken.String()), nil
}

// quoted names the measurements that a line about their machine is for: all,
// or one that was taken elsewhere or on another day.
func quoted(all []string, one string, first bool) string {
	if !first {
		all = []string{one}
	}
	return "`" + strings.Join(all, "`, `") + "`"
}

// where tells when and on what machine results were taken.
func (r results) where() string {
	m := r.machine
	return fmt.Sprintf("%s, %s cores of %s, %s", m["date"], m["cores"], m["cpu"], m["go"])
}
