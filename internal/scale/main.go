// Command scale simulates a fleet that no test can run: a million atoms over
// 200 backends and 50 routers. It prints what docs/scaling.md shows of it,
// which a test compares. The placement, the pauses and the budget are the
// router's own code; what stands for an API server, and for the router's way
// of asking it, is a model, whose figures are constants of this package.
//
//	go run ./internal/scale
package main

import (
	"fmt"
	"io"
	"os"
)

const (
	atoms    = 1_000_000
	backends = 200
	routers  = 50
	zone     = 50 // backends that fail together
	// lifetime is what an atom lives on average, in seconds: so many are
	// created and deleted each second.
	lifetime = 600
	creates  = float64(atoms) / lifetime
)

func main() {
	print(os.Stdout)
}

// print writes every table. Nothing in it depends on time, machine or order of
// maps.
func print(w io.Writer) {
	fmt.Fprintf(w, "%s atoms of %d s on %d backends by %d routers: %.0f Creates a second\n", thousands(atoms), lifetime, backends, routers, creates)
	limits(w)
	place(w)
	failOver(w)
	herd(w)
	sweeps(w)
}

// table writes rows under a title, the first column to the left and the others
// to the right.
func table(w io.Writer, title string, rows [][]string) {
	fmt.Fprintf(w, "\n%s\n\n", title)
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], len(cell))
		}
	}
	for _, row := range rows {
		line := fmt.Sprintf("%-*s", widths[0], row[0])
		for i, cell := range row[1:] {
			line += fmt.Sprintf("  %*s", widths[i+1], cell)
		}
		fmt.Fprintln(w, line)
	}
}

// thousands writes a number as people do.
func thousands(n int) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%s,%03d", thousands(n/1000), n%1000)
}
