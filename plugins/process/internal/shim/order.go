//go:build linux || darwin

package shim

import (
	"syscall"
	"time"
)

const (
	// Arg is the hidden argument that makes a program a shim; the atom's
	// directory follows it, for people who read ps.
	Arg = "atom-process-shim"
	// Env is set in a shim's environment, see process.New.
	Env = "ATOM_PROCESS_SHIM"
)

// Order is what the engine writes to a shim's stdin.
type Order struct {
	ID   string   `json:"id"`
	Dir  string   `json:"dir"`
	Args []string `json:"args"`
	Env  []string `json:"env"`
	Work string   `json:"work"`
	// Grace is that of an atom whose shim is asked to stop by a signal.
	Grace time.Duration `json:"grace"`
}

// Answer is what the shim writes back on descriptor 3.
type Answer struct {
	// Begun: the atom has a log: its job runs, or failed to start.
	Begun bool `json:"begun"`
	// Busy: another shim has begun it or is about to.
	Busy bool `json:"busy,omitempty"`
	// Gone: the directory was removed before the shim could take it.
	Gone bool `json:"gone,omitempty"`
	// Errno and Err say why nothing was begun.
	Errno syscall.Errno `json:"errno,omitempty"`
	Err   string        `json:"error,omitempty"`
}
