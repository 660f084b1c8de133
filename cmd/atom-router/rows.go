package main

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// rows is a table whose rows come over time, each under its heading as far as
// its columns were wide enough when the first came.
type rows struct {
	app    *app
	widths []int
	head   []string // until it was printed
}

// newRows takes a heading as table does.
func (a *app) newRows(heading string) *rows {
	head := strings.Split(heading, "\t")
	return &rows{app: a, widths: make([]int, len(head)), head: head}
}

// print prints more rows, the heading before the first time.
func (r *rows) print(more [][]string) error {
	for _, row := range more {
		safe(row)
	}
	if r.head != nil {
		more = append([][]string{r.head}, more...)
		r.head = nil
	}
	for _, row := range more {
		for i, cell := range row {
			r.widths[i] = max(r.widths[i], utf8.RuneCountInString(cell))
		}
	}
	var text strings.Builder
	for _, row := range more {
		for i, cell := range row {
			if i == len(row)-1 {
				fmt.Fprintln(&text, cell)
				continue
			}
			fmt.Fprintf(&text, "%-*s   ", r.widths[i], cell)
		}
	}
	_, err := fmt.Fprint(r.app.stdout, text.String())
	return err
}
