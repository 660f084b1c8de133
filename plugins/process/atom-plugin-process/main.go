//go:build linux || darwin

// Command atom-plugin-process is the process engine as a plugin of
// atom-router, which starts it.
package main

import (
	"github.com/atom-router/atom-router/internal/tracing"
	"github.com/atom-router/atom-router/plugin"
	"github.com/atom-router/atom-router/plugins/process"
)

func main() {
	process.RunShim()
	plugin.Serve(tracing.Traced(process.Plugin()))
}
