package main

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/atom-router/atom-router/atom/atomtest"
	"github.com/atom-router/atom-router/internal/tracing"
	"github.com/atom-router/atom-router/plugin"
	"github.com/atom-router/atom-router/plugins/docker"
	"github.com/atom-router/atom-router/plugins/kube"
	"github.com/atom-router/atom-router/plugins/process"
)

// The test binary is also the programs that it tests, by the name it is
// called by: the router, with its embedded plugin and the shim of that, the
// other plugins beside it, and the probe of exams.
func TestMain(m *testing.M) {
	dontLinger()
	process.RunShim()
	atomtest.RunProbe()
	testscript.Main(m, map[string]func(){
		"atom-router":        farMain,
		"atom-plugin-plain":  func() { plugin.Serve(process.Plugin()) }, // which knows nothing of traces
		"atom-plugin-docker": func() { plugin.Serve(tracing.Traced(docker.Plugin())) },
		"atom-plugin-kube":   func() { plugin.Serve(tracing.Traced(kube.Plugin())) },
	})
}

// dontLinger has the programs end at once. With the race detector they would
// each take a second for that, as long as GORACE does not say otherwise when
// they start (https://go.dev/doc/articles/race_detector#Options).
func dontLinger() {
	if strings.HasSuffix(os.Args[0], ".test") || os.Getenv("GORACE") != "" {
		return
	}
	self, err := os.Executable()
	if err == nil {
		err = syscall.Exec(self, os.Args, append(os.Environ(), "GORACE=atexit_sleep_ms=0"))
	}
	fmt.Fprintln(os.Stderr, "starting over:", err)
	os.Exit(1)
}
