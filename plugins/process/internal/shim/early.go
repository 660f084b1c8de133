//go:build linux || darwin

// Package shim is the parent of a job of the process engine: a program that
// carries the engine becomes it where the engine starts that program with a
// hidden argument. It reads the job's output, writes it to the state
// directory, records the exit and ends. What there is in the state directory,
// and who may write it, says package process.
//
// A shim is started for each job, and the programs that carry the engine are
// large: to initialise all the packages of atom-router takes five times as long
// as all that a shim does. So the program becomes a shim as soon as this package
// is initialised. Go initialises packages in the order of their import paths as
// far as their imports allow it, so that most of those which are not imported
// here come later: gRPC and protobuf, net, OpenTelemetry, Prometheus. That is
// why this package, and state, import little, and nothing that comes late
// itself, as os/exec and path/filepath do. A test of package process holds them
// to it.
package shim

import (
	"os"
	"runtime"
)

// No other package needs to know of it: it changes nothing where the program
// is no shim.
func init() { Run() }

// Run returns at once, unless the program was started by the engine to be the
// parent of a job: then it does that and never returns.
func Run() {
	if len(os.Args) < 3 || os.Args[len(os.Args)-2] != Arg || os.Getenv(Env) == "" {
		return
	}
	// The job is killed when the thread that started it ends (see
	// startJob), so that one has to live as long as we do.
	runtime.LockOSThread()
	os.Exit(run())
}
