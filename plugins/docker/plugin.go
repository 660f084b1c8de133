package docker

import (
	"context"

	"github.com/hashicorp/go-hclog"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/plugin"
)

// Version is the plugin's own.
const Version = "0.1.0"

// Plugin describes this engine to plugin.Serve.
func Plugin() plugin.Plugin[Config] {
	return plugin.Plugin[Config]{
		Name:         "docker",
		Version:      Version,
		Capabilities: append(baseCapabilities(), atom.CapCPU, atom.CapMemory, atom.CapOOM, atom.CapGPUs, atom.CapExactBytes),
		Env:          []string{"DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG", "DOCKER_CERT_PATH", "DOCKER_TLS_VERIFY"},
		New: func(ctx context.Context, c Config, log hclog.Logger) (atom.Engine, error) {
			return New(ctx, c, log)
		},
	}
}
