//go:build linux

// Package chaos kills, stops and starves every process in the picture while
// jobs run on the three engines through routers of their own, and then
// accounts for everything: each Key one atom, each result right, each byte of
// output there once, and nothing left behind.
//
// A fleet of router processes (worker_test.go) is given the jobs of a plan
// (plan_test.go); the faults of the plan befall them and what stands behind
// them (faults_test.go); account_test.go asks afterwards. The plan follows
// from a seed, the moment at which a fault meets a job does not.
package chaos

import (
	"flag"
	"os"
	"os/exec"
	"testing"

	"github.com/atom-router/atom-router/plugin"
	"github.com/atom-router/atom-router/plugins/docker"
	"github.com/atom-router/atom-router/plugins/kube"
	"github.com/atom-router/atom-router/plugins/process"
)

// As the first argument these make the test binary something else.
const (
	servePlugin = "serve-plugin" // the plugin that the second names, for the run in the third's directory
	runRouter   = "run-router"   // a router, for the run in the second's directory
)

var (
	jobCount   = flag.Int("chaos.jobs", 60, "how many jobs are run")
	faultCount = flag.Int("chaos.faults", 20, "how many faults befall them")
	onlyFaults = flag.String("chaos.only", "", "kinds of faults, separated by commas; all of them if empty")
	onlyJobs   = flag.String("chaos.backend", "", "where the jobs go; everywhere if empty")
	seedFlag   = flag.Uint64("chaos.seed", 0, "repeats a plan; 0 is a new one")
)

func TestMain(m *testing.M) {
	process.RunShim()
	switch {
	case len(os.Args) > 3 && os.Args[1] == servePlugin:
		serve(os.Args[2], os.Args[3])
	case len(os.Args) > 2 && os.Args[1] == runRouter:
		os.Exit(routerMain())
	default:
		os.Exit(m.Run())
	}
}

// serve is the plugin process. It has a child that holds its stderr, as
// helpers that engines start do.
func serve(kind, dir string) {
	child := exec.Command("sleep", "3600")
	child.Args[0] = "sleep-of-" + dir
	child.Stderr = os.Stderr
	if err := child.Start(); err != nil {
		panic(err)
	}
	switch kind {
	case "process":
		plugin.Serve(process.Plugin())
	case "docker":
		plugin.Serve(docker.Plugin())
	case "kube":
		plugin.Serve(kube.Plugin())
	}
}
