// Command atom-router runs jobs on whichever of several container engines the
// rules of its config choose, and finds them again by their IDs.
package main

import (
	"os"

	"github.com/atom-router/atom-router/atom/atomtest"
	"github.com/atom-router/atom-router/plugins/process"
)

func main() {
	// This binary carries the process engine: it is also that plugin, and the
	// parent of the jobs that it runs.
	process.RunShim()
	// And the program that atoms run in an exam of plugins.
	atomtest.RunProbe()
	os.Exit(execute(os.Args[1:], os.Stdout, os.Stderr))
}
