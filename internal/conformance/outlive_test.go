//go:build linux

package conformance

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/atom/atomtest"
	"github.com/atom-router/atom-router/internal/testenv"
	"github.com/atom-router/atom-router/internal/testenv/kubespace"
	"github.com/atom-router/atom-router/router"
)

// Waits and Logs outlive the plugin, on every engine, and however it goes: the
// result is the job's, and no byte of its output is lost or comes twice.
func TestWaitsAndLogsOutliveThePlugin(t *testing.T) {
	program, err := atomtest.BuildProbe(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Run("process", func(t *testing.T) {
		outlive(t, newRouter(t, "outlive", processBackend(t)), "host", "none", program)
	})
	t.Run("docker", func(t *testing.T) {
		b := router.Backend{Name: "docker", Plugin: "docker", Settings: settings{"host": testenv.Docker(t)}}
		outlive(t, newRouter(t, "outlive", b), "docker", testenv.Image(t), "/probe")
	})
	t.Run("kube", func(t *testing.T) {
		s := kubespace.New(t, nil)
		b := router.Backend{Name: "kube", Plugin: "kube", Settings: settings{"kubeconfig": s.Kubeconfig}}
		outlive(t, newRouter(t, "outlive", b), "kube", testenv.KubeImage(t), "/probe")
	})
}

// outlive runs a job of 30 seconds under faults of its plugin.
func outlive(t *testing.T, e *router.Engine, backend, image, program string) {
	const lines = 600
	r := &atom.EngineCreateRequest{Image: image, Command: []string{"lines", strconv.Itoa(lines), "50ms", "x", ";", "write", "end", ";", "exit", "9"}, Context: t.Context()}
	r.Spec.Entrypoint = []string{program}
	r.Spec.Labels = map[string]string{label: backend}
	a, err := e.Create(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Delete(&atom.EngineDeleteRequest{ID: a.ID(), Force: true}); err != nil {
			t.Error(err)
		}
	})
	ended := make(chan string, 1)
	go func() {
		got, err := e.Wait(&atom.EngineWaitRequest{ID: a.ID(), Context: t.Context()})
		ended <- describeEnd(got, err)
	}()
	logs, err := e.Logs(&atom.EngineLogsRequest{ID: a.ID(), Context: t.Context()})
	if err != nil {
		t.Fatal(err)
	}
	defer logs.Close()
	faults := map[int]func(pid int) error{
		20:  func(pid int) error { return syscall.Kill(pid, syscall.SIGKILL) },
		60:  func(pid int) error { return syscall.Kill(pid, syscall.SIGKILL) },
		150: func(pid int) error { return syscall.Kill(pid, syscall.SIGSTOP) },
		500: func(pid int) error { return syscall.Kill(pid, syscall.SIGKILL) },
	}
	in := bufio.NewReader(logs)
	hit := 0
	for i := range lines {
		line, err := in.ReadString('\n')
		if want := fmt.Sprintf("x %d\n", i); err != nil || line != want {
			t.Fatalf("line %d is %q, %v", i, line, err)
		}
		if fault := faults[i]; fault != nil {
			// What was on its way may be read before the plugin's end is seen.
			hit = pluginOf(t, backend, hit)
			if err := fault(hit); err != nil {
				t.Fatal(err)
			}
		}
	}
	if rest, err := io.ReadAll(in); err != nil || string(rest) != "end" {
		t.Errorf("the rest is %q, %v", rest, err)
	}
	select {
	case end := <-ended:
		if end != "stopped failure 9" {
			t.Errorf("wait says %s", end)
		}
	case <-time.After(30 * time.Second):
		t.Error("the wait has not ended")
	}
	// The last fault may have met a plugin that nobody needed any more.
	if _, err := e.Get(&atom.EngineGetRequest{ID: a.ID(), Context: t.Context()}); err != nil {
		t.Error(err)
	}
	for _, b := range e.Backends() {
		if b.Restarts < len(faults) {
			t.Errorf("backend %s was started again %d times, under %d faults", b.Name, b.Restarts, len(faults))
		}
	}
}

func describeEnd(a atom.Atom, err error) string {
	if err != nil {
		return err.Error()
	}
	code := -1
	if c := atom.InfoOf(a).ExitCode; c != nil {
		code = *c
	}
	return fmt.Sprintf("%s %s %d", a.State(), a.Result(), code)
}

// pluginOf is the process of the one plugin that this test has. It may be on
// its way.
func pluginOf(t *testing.T, backend string, not int) int {
	t.Helper()
	plugin := backend
	if backend == "host" {
		plugin = "process"
	}
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		lists, _ := filepath.Glob("/proc/self/task/*/children")
		for _, list := range lists {
			text, _ := os.ReadFile(list)
			for child := range strings.FieldsSeq(string(text)) {
				line, _ := os.ReadFile("/proc/" + child + "/cmdline")
				if !slices.Contains(strings.Split(string(line), "\x00"), plugin) || !bytes.Contains(line, []byte(servePlugin)) {
					continue
				}
				if pid, err := strconv.Atoi(child); err == nil && pid != not {
					return pid
				}
			}
		}
	}
	t.Fatalf("no plugin %s runs", plugin)
	return 0
}
