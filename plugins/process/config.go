//go:build linux || darwin

package process

import (
	"os"
	"path/filepath"
	"time"

	"github.com/atom-router/atom-router/atom"
)

// Config is the config block of a process backend.
type Config struct {
	StateDir    string   `hcl:"state_dir,optional" doc:"Directory that atoms are kept in, on a local file system; made if it is not there." default:"$XDG_STATE_HOME/atom-router or ~/.local/state/atom-router"`
	StopTimeout string   `hcl:"stop_timeout,optional" doc:"Grace between SIGTERM and SIGKILL where neither Stop nor the atom names one; fractions of a second round up." default:"10s"`
	Shim        []string `hcl:"shim,optional" doc:"Command that calls process.RunShim, run as the parent of each job." default:"the program itself"`
}

// defaultStopTimeout is the grace where nothing else names one.
const defaultStopTimeout = 10 * time.Second

// settings are a Config with its defaults, checked.
type settings struct {
	stateDir    string
	stopTimeout time.Duration
	shim        []string
}

// check applies the defaults. Its error is *atom.FieldErrors.
func (c Config) check() (settings, error) {
	s := settings{stopTimeout: defaultStopTimeout, shim: c.Shim}
	if c.StopTimeout != "" {
		d, err := time.ParseDuration(c.StopTimeout)
		if err != nil {
			return s, &atom.FieldError{Field: "stop_timeout", Reason: "\"" + c.StopTimeout + "\" is not a duration such as \"10s\""}
		}
		if d <= 0 {
			return s, &atom.FieldError{Field: "stop_timeout", Reason: "must be more than 0, got " + c.StopTimeout}
		}
		s.stopTimeout = d
	}
	if len(c.Shim) > 0 && c.Shim[0] == "" {
		return s, &atom.FieldError{Field: "shim[0]", Reason: "names no program"}
	}
	var err error
	s.stateDir, err = stateDir(c.StateDir)
	return s, err
}

func stateDir(configured string) (string, error) {
	dir := configured
	if dir == "" {
		if base := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(base) {
			dir = filepath.Join(base, "atom-router")
		} else if home := os.Getenv("HOME"); filepath.IsAbs(home) {
			dir = filepath.Join(home, ".local", "state", "atom-router")
		} else {
			return "", &atom.FieldError{Field: "state_dir", Reason: "is required where neither XDG_STATE_HOME nor HOME is set"}
		}
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", &atom.FieldError{Field: "state_dir", Reason: err.Error()}
	}
	return abs, nil
}
