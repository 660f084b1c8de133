//go:build linux || darwin

package process

import (
	"context"

	"github.com/hashicorp/go-hclog"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/plugin"
)

// Version is that of the engine, for people.
const Version = "0.1.0"

// Plugin is the engine as a plugin. A main that serves it calls RunShim
// before.
func Plugin() plugin.Plugin[Config] {
	return plugin.Plugin[Config]{
		Name:         "process",
		Version:      Version,
		Capabilities: capabilities(),
		Env:          []string{"XDG_STATE_HOME"},
		New: func(ctx context.Context, c Config, log hclog.Logger) (atom.Engine, error) {
			// Not New itself: its nil *Engine would be an Engine.
			e, err := New(ctx, c, log)
			if err != nil {
				return nil, err
			}
			return e, nil
		},
	}
}
