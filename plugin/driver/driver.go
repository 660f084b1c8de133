package driver

import (
	"context"
	"io"
	"slices"
	"time"

	"github.com/atom-router/atom-router/atom"
)

// Driver starts jobs. An Engine calls it from many goroutines at once.
type Driver interface {
	// Start starts the job that r describes, with its output going to stdout
	// and stderr, and returns when it runs. r is valid, asks for nothing that
	// the engine lacks, has an Owner and a Key (atom.NativeName makes a name
	// of them that no other job has at the same time), and is Start's own. Its
	// Report tells all who wait how a start that takes long gets on.
	//
	// An error is the Create's, with its class: ResourceExhausted where there
	// is no room and Unavailable where nothing answers let a router go on to
	// another backend. It leaves nothing behind. ctx ends when nobody waits
	// for the atom any more; it does not end the job.
	//
	// stdout and stderr take what is written to them at once, until Wait has
	// returned.
	Start(ctx context.Context, r *atom.EngineCreateRequest, stdout, stderr io.Writer) (Job, error)
}

// Job is a job that runs.
type Job interface {
	// Wait returns when the job has ended and all its output was written. It
	// is called once. An error says in words what the Exit does not: why the
	// job was reclaimed, or why its end is not known.
	Wait() (atom.Exit, error)
	// Stop tells the job to end and does not wait for it: as SIGTERM does,
	// or as SIGKILL where force is set. It may be called often, by several
	// goroutines, and when the job has ended already, which is no error. An
	// error is that of the engine's Stop or Delete.
	Stop(force bool) error
}

// Options of an Engine; the zero value will do.
type Options struct {
	// Capabilities are what the driver can do beside Capabilities().
	Capabilities atom.Capabilities
	// StopTimeout is the grace of a Stop where neither it nor the atom names
	// one; 0 is ten seconds.
	StopTimeout time.Duration
	// LogBytes is how much of each atom's output is kept, the last of it; 0
	// is spool.DefaultLimit.
	LogBytes int
}

// Capabilities are those of an Engine over any driver, and more.
func Capabilities(more ...atom.Capability) atom.Capabilities {
	return slices.Concat(atom.Capabilities{
		atom.CapExactBytes, atom.CapLogTimes, atom.CapLogStreams, atom.CapLogsAfterKill, atom.CapStopEscalation, atom.CapDelete, atom.CapLookup,
	}, more)
}
