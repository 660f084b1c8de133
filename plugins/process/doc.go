//go:build linux || darwin

// Package process is the engine that runs atoms as plain processes of this
// machine, for a laptop or a CI box without a container engine.
//
// Each atom is a process group in a session of its own. Its parent is a shim:
// this program's own executable, started again with a hidden argument and
// holding nothing of the program that started it. The shim reads the job's
// output, writes it with timestamps to the state directory, records the exit
// and ends with its atom. Engine and shim share nothing but files, so atoms
// outlive engine, plugin and router, and any number of engines may work on one
// state directory at once.
//
// A program that embeds this engine must call RunShim first in main.
//
// # The state directory
//
//	state_dir/
//	  .tmp/                      directories being made, and being removed
//	  OWNER/atom-…/              one atom, by atom.NativeName
//	    atom.json                what it is; never changes
//	    lock                     flocked by the shim for as long as it lives
//	    ctl                      FIFO: how Stop talks to the shim
//	    log                      framed output; from its presence on, the job may have run
//	    started.json             the job's process
//	    stopping                 a stop was asked for
//	    exit.json                how it ended
//
// A directory appears by rename, whole, and disappears by rename; renaming
// onto an existing one fails, which makes a Create under a Key happen once.
// Everything but the final removal is done by whoever holds the lock, so the
// files tell the state without anyone having to be asked:
//
//	exit.json               stopped
//	lock held, started.json running, or stopping where the marker is
//	lock held               created, about to start
//	lock free, log          stopped with an unknown result: the shim was killed
//	lock free, no log       half-made: never started; finished by another Create
//	                        under its Key, or removed after 15 minutes
//
// Neither the command nor the environment is ever written to disk: the shim
// has them from a pipe.
//
// A service manager that kills every process of a service when it stops that
// (systemd's default) takes the atoms along; KillMode=process leaves them.
//
// # What a job gets
//
// PATH and HOME of the engine's own process, and Spec.Env, which wins;
// /dev/null as stdin; Spec.WorkDir or else the root directory; the user and
// limits of the engine's own process. Whatever of its descendants lives when
// its main process has ended is killed, as in a container.
//
// A job that cannot be started (no such program, not executable, no such
// working directory) becomes an atom that is stopped with startup_failure, and
// whose Message says why.
package process
