package router

import (
	"context"
	"fmt"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/atom-router/atom-router/plugin"
)

const (
	// attachPatience bounds what is bounded by seconds elsewhere: a plugin
	// at a breakpoint answers when its developer goes on.
	attachPatience = 10 * time.Minute
	// attachPause is how long to leave a socket alone that nobody listens
	// at. Dialling costs nothing, so it does not grow.
	attachPause = 500 * time.Millisecond
)

// attach connects to the plugin that listens at conf.Attach and configures it.
// Whoever started that plugin ends it.
func (l *launcher) attach(ctx context.Context, conf Backend, log hclog.Logger) (*instance, error) {
	p, err := plugin.Attach(ctx, conf.Attach, l.dial...)
	if err != nil {
		return nil, err
	}
	if err := configure(ctx, p, conf.Settings); err != nil {
		_ = p.Close() // only a connection
		return nil, err
	}
	i := newInstance(p.Engine())
	i.patience = attachPatience
	i.serves(p)
	log.Info("attached to a plugin that somebody started", "socket", conf.Attach, "plugin", i.plugin, "version", i.version)
	return i, nil
}

// CheckAttach finds backends that are attached to plugins started by hand,
// which a router refuses unless Options.AllowAttach is set.
func (c *Config) CheckAttach() []Problem {
	k := checker{config: c}
	for i, b := range c.Backends {
		if b.Engine == nil && b.Attach != "" {
			k.fail(fmt.Sprintf("backend[%d].attach", i), fmt.Sprintf("backend %q is attached to a plugin that is being debugged", cutName(b.Name)),
				"Nobody supervises such a plugin. Take attach out, or allow it where you debug: with --allow-attach, or Options.AllowAttach.")
		}
	}
	return k.problems
}
