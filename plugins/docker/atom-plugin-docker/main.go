// Command atom-plugin-docker is the Docker engine as a plugin process; the
// router starts it.
package main

import (
	"github.com/atom-router/atom-router/internal/tracing"
	"github.com/atom-router/atom-router/plugin"
	"github.com/atom-router/atom-router/plugins/docker"
)

func main() { plugin.Serve(tracing.Traced(docker.Plugin())) }
