//go:build linux || darwin

package process

import (
	"strings"
	"time"

	"github.com/atom-router/atom-router/atom"
)

// Names inside an atom's directory; doc.go says what each is for.
const (
	metaFile     = "atom.json"
	lockFile     = "lock"
	ctlFile      = "ctl"
	logFile      = "log"
	startedFile  = "started.json"
	stoppingFile = "stopping"
	exitFile     = "exit.json"
	// reservedFile becomes exitFile. It is written full size when the job
	// starts, so that a disk that is full by the end can still take the exit.
	reservedFile  = "exit.reserved"
	reservedBytes = 4096
)

// meta is atom.json.
type meta struct {
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

// started is started.json.
type started struct {
	ID   string `json:"id"` // as in meta; see view.read
	PID  int    `json:"pid"`
	Time int64  `json:"time"` // Unix nanoseconds
	// Ticks and Boot tell this process from a later one with its PID; they
	// are empty where the system does not say.
	Ticks string `json:"ticks,omitempty"`
	Boot  string `json:"boot,omitempty"`
}

// exit is exit.json.
type exit struct {
	ID           string `json:"id"` // as in meta; see view.read
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

// view is all that an atom's directory says.
type view struct {
	dir      string
	meta     meta
	started  *started
	exit     *exit
	stopping bool
	// halfMade is an atom that nobody has started and nobody is starting.
	halfMade bool
}

func (v *view) state() atom.State {
	switch {
	case v.exit != nil:
		return atom.Stopped
	case v.started == nil:
		return atom.Created
	case v.stopping:
		return atom.Stopping
	}
	return atom.Running
}

// info is the view as an engine's users see it.
func (v *view) info() atom.Info {
	info := atom.Info{
		ID: v.meta.ID, Name: v.meta.Name, Image: v.meta.Image, Labels: v.meta.Labels, Rule: v.meta.Rule,
		State: v.state(), Result: atom.Unknown, CreatedAt: time.Unix(0, v.meta.Created).UTC(),
	}
	if v.started != nil {
		info.StartedAt = time.Unix(0, v.started.Time).UTC()
	}
	if v.exit != nil {
		info.Result = atom.Exit{Code: v.exit.Code, NeverStarted: v.exit.NeverStarted}.Result()
		info.ExitCode = v.exit.Code
		info.Message = v.exit.Message
		if v.exit.LogError != "" && !v.exit.Lost {
			info.Message = strings.TrimPrefix(info.Message+"; its output is not whole: "+v.exit.LogError, "; ")
		}
		info.StoppedAt = time.Unix(0, v.exit.Time).UTC()
	}
	return info
}
