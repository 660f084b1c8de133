//go:build linux || darwin

package process

import (
	"strings"
	"time"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/plugins/process/internal/state"
)

// view is all that an atom's directory says.
type view struct {
	dir      string
	meta     state.Meta
	started  *state.Started
	exit     *state.Exit
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
