package tracing

import (
	"context"
	"os"

	"github.com/hashicorp/go-hclog"

	"github.com/atom-router/atom-router/plugin"
)

// Traced is p with its part of its hosts' traces, where the environment asks
// for them. It is for the main functions of plugins; the process ends with
// plugin.Serve.
func Traced[C any](p plugin.Plugin[C]) plugin.Plugin[C] {
	log := hclog.New(&hclog.LoggerOptions{Level: hclog.Trace, Output: os.Stderr, JSONFormat: true}) // as plugin.Serve logs
	t := Start(context.Background(), "atom-plugin-"+p.Name, p.Version, log)
	if t == nil {
		return p
	}
	p.ServerOptions = append(p.ServerOptions, t.pluginServerOptions()...)
	p.Close = t.Stop
	return p
}
