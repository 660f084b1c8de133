//go:build linux || darwin

package process

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/atom-router/atom-router/plugins/process/internal/shim"
)

// TestEarly: a program becomes a shim before the packages are initialised that
// a shim does not need, and that would take most of its start.
func TestEarly(t *testing.T) {
	cmd := exec.Command(os.Args[0], shim.Arg, t.TempDir())
	cmd.Env = []string{shim.Env + "=1", "GODEBUG=inittrace=1"}
	var trace strings.Builder
	cmd.Stderr = &trace
	// Without an order it ends with 1.
	if err := cmd.Run(); cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != 1 {
		t.Fatalf("got %v", err)
	}
	initialised := make(map[string]bool)
	for line := range strings.Lines(trace.String()) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == "init" {
			initialised[fields[1]] = true
		}
	}
	if !initialised["os/signal"] {
		t.Fatalf("a shim uses os/signal, and the trace does not have it:\n%s", trace.String())
	}
	for _, late := range []string{
		"net", "os/exec", "google.golang.org/protobuf/internal/filedesc", "google.golang.org/grpc",
		"github.com/atom-router/atom-router/plugin/proto/atomrouter/engine/v1",
	} {
		if initialised[late] {
			t.Errorf("%s is initialised before", late)
		}
	}
}
