package main

import (
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/atom-router/atom-router/plugin"
	"github.com/atom-router/atom-router/plugins/docker"
	"github.com/atom-router/atom-router/plugins/kube"
	"github.com/atom-router/atom-router/plugins/process"
)

// The test binary is also the programs that it tests, by the name it is
// called by: the router, with its embedded plugin and the shim of that, and
// the other plugins beside it.
func TestMain(m *testing.M) {
	process.RunShim()
	testscript.Main(m, map[string]func(){
		"atom-router":        main,
		"atom-plugin-docker": func() { plugin.Serve(docker.Plugin()) },
		"atom-plugin-kube":   func() { plugin.Serve(kube.Plugin()) },
	})
}
