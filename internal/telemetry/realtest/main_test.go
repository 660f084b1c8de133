// Package realtest holds the metrics, the dashboard and the alerts to what a
// real daemon exports while it works, with a real Prometheus.
package realtest

import (
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/atom-router/atom-router/internal/tracing"
	"github.com/atom-router/atom-router/plugin"
	"github.com/atom-router/atom-router/plugins/process"
)

// servePlugin as the first argument makes this test binary the process
// engine's plugin.
const servePlugin = "serve-plugin"

func TestMain(m *testing.M) {
	process.RunShim()
	if len(os.Args) > 1 && os.Args[1] == servePlugin {
		plugin.Serve(tracing.Traced(process.Plugin()))
		return
	}
	goleak.VerifyTestMain(m)
}
