package kube

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
		Name:         "kube",
		Version:      Version,
		Capabilities: append(baseCapabilities(), atom.CapMountBind, atom.CapBindSource),
		Env: []string{
			"KUBECONFIG", "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT",
			"HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy",
		},
		New: func(ctx context.Context, c Config, log hclog.Logger) (atom.Engine, error) {
			return New(ctx, c, log)
		},
	}
}
