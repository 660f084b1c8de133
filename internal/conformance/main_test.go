//go:build linux

// Package conformance holds the router to every promise of an engine, over
// real plugin processes. It stands apart because package router knows no
// engine.
package conformance

import (
	"os"
	"testing"

	"github.com/atom-router/atom-router/plugin"
	"github.com/atom-router/atom-router/plugins/docker"
	"github.com/atom-router/atom-router/plugins/kube"
	"github.com/atom-router/atom-router/plugins/process"
)

// servePlugin as the first argument makes this test binary the plugin that
// the second names.
const servePlugin = "serve-plugin"

func TestMain(m *testing.M) {
	process.RunShim()
	if len(os.Args) > 2 && os.Args[1] == servePlugin {
		switch os.Args[2] {
		case "process":
			plugin.Serve(process.Plugin())
		case "docker":
			plugin.Serve(docker.Plugin())
		case "kube":
			plugin.Serve(kube.Plugin())
		}
		return
	}
	if len(os.Args) > 1 && os.Args[1] == createOnce {
		createMain()
		return
	}
	os.Exit(m.Run())
}
