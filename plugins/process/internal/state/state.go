//go:build linux || darwin

// Package state is how atoms are kept in the process engine's state directory,
// for the engine and its shims: names, records, locks, and the words in which an
// engine talks to a shim. What each is for and who may write it says package
// process.
//
// Shims import it before all else of a program is initialised; see package
// shim, and keep what it imports few.
package state

import "time"

// Names inside an atom's directory; package process says what each is for.
const (
	MetaFile     = "atom.json"
	LockFile     = "lock"
	CtlFile      = "ctl"
	LogFile      = "log"
	StartedFile  = "started.json"
	StoppingFile = "stopping"
	ExitFile     = "exit.json"
	// ReservedFile becomes ExitFile. It is written full size when the job
	// starts, so that a disk that is full by the end can still take the exit.
	ReservedFile  = "exit.reserved"
	ReservedBytes = 4096
)

// Meta is atom.json.
type Meta struct {
	ID          string            `json:"id"`
	Owner       string            `json:"owner"`
	Name        string            `json:"name,omitempty"`
	Image       string            `json:"image"`
	Labels      map[string]string `json:"labels,omitempty"`
	Rule        string            `json:"rule,omitempty"`
	Hash        string            `json:"hash"`
	Created     int64             `json:"created"`                // Unix nanoseconds
	StopTimeout time.Duration     `json:"stop_timeout,omitempty"` // nanoseconds
}

// Started is started.json.
type Started struct {
	ID   string `json:"id"` // as in Meta: the directory may have become another atom's
	PID  int    `json:"pid"`
	Time int64  `json:"time"` // Unix nanoseconds
	// Ticks and Boot tell this process from a later one with its PID; they
	// are empty where the system does not say.
	Ticks string `json:"ticks,omitempty"`
	Boot  string `json:"boot,omitempty"`
}

// Exit is exit.json.
type Exit struct {
	ID           string `json:"id"` // as in Meta: the directory may have become another atom's
	Code         *int   `json:"code,omitempty"`
	NeverStarted bool   `json:"never_started,omitempty"`
	Message      string `json:"message,omitempty"`
	Time         int64  `json:"time"` // Unix nanoseconds
	// LogBytes is how long the log is when it is whole.
	LogBytes int64 `json:"log_bytes"`
	// LogError says why the log is not whole; "" where it is.
	LogError string `json:"log_error,omitempty"`
	// Lost is set by an engine that found the shim gone without an exit.
	Lost bool `json:"lost,omitempty"`
}
