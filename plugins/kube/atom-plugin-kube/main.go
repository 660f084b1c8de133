// Command atom-plugin-kube is the Kubernetes engine as a plugin process; the
// router starts it.
package main

import (
	"github.com/atom-router/atom-router/internal/tracing"
	"github.com/atom-router/atom-router/plugin"
	"github.com/atom-router/atom-router/plugins/kube"
)

func main() { plugin.Serve(tracing.Traced(kube.Plugin())) }
