// Probe is the program that the conformance suite's atoms run: it prints,
// sleeps, exits, traps signals, eats memory. Its steps are those of
// steps.Main; without arguments it prints one line and exits 0.
package main

import (
	"os"

	"github.com/atom-router/atom-router/atom/atomtest/internal/steps"
)

func main() { os.Exit(steps.Main(os.Args[1:], os.Stdout, os.Stderr)) }
