//go:build linux || darwin

package process

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/atom/container"
	"github.com/atom-router/atom-router/plugins/process/internal/shim"
)

func TestMain(m *testing.M) {
	RunShim()
	if dir := os.Getenv(creatorEnv); dir != "" {
		creator(dir)
	}
	code := m.Run()
	if err := goleak.Find(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	if left := eventuallyNoShims(); len(left) > 0 {
		fmt.Fprintln(os.Stderr, "shims that the tests left running:", left)
		code = 1
	}
	os.Exit(code)
}

// eventuallyNoShims returns the PIDs of this binary's shims that go on
// living.
func eventuallyNoShims() []int {
	deadline := time.Now().Add(5 * time.Second)
	for {
		left := shims("")
		if len(left) == 0 || time.Now().After(deadline) {
			return left
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// shims returns the PIDs of this binary's shims whose atom's directory is
// under dir. Where there is no /proc it returns none.
func shims(dir string) []int {
	self, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return nil
	}
	paths, _ := filepath.Glob("/proc/[0-9]*/exe")
	var pids []int
	for _, path := range paths {
		exe, _ := os.Readlink(path)
		cmdline, _ := os.ReadFile(filepath.Join(filepath.Dir(path), "cmdline"))
		args := strings.Split(string(cmdline), "\x00")
		var pid int
		fmt.Sscanf(path, "/proc/%d/", &pid)
		if exe == self && pid != os.Getpid() && len(args) > 2 && args[1] == shim.Arg && strings.HasPrefix(args[2], dir) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// newEngine returns an engine on that state directory. The shim runs this
// test binary, whose TestMain calls RunShim.
func newEngine(t *testing.T, dir string) *Engine {
	t.Helper()
	e, err := New(t.Context(), Config{StateDir: dir}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}

// sh is a request for a shell script.
func sh(script string) *atom.EngineCreateRequest {
	return &atom.EngineCreateRequest{Image: "none", Spec: container.Spec{Entrypoint: []string{"/bin/sh", "-c"}}, Command: []string{script}}
}

// create makes an atom that goes with the test.
func create(t *testing.T, e *Engine, r *atom.EngineCreateRequest) atom.Info {
	t.Helper()
	a, err := e.Create(r)
	if err != nil {
		t.Fatalf("create: %v", err)
	}
	root := e.store.root
	t.Cleanup(func() {
		// The test may have closed its engine.
		e, err := New(context.Background(), Config{StateDir: root}, nil)
		if err != nil {
			return
		}
		defer e.Close()
		_ = e.Delete(&atom.EngineDeleteRequest{ID: a.ID(), Owner: r.Owner, Force: true})
	})
	return atom.InfoOf(a)
}

func bounded(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func wait(t *testing.T, e *Engine, id string) atom.Info {
	t.Helper()
	got, err := e.Wait(&atom.EngineWaitRequest{ID: id, Context: bounded(t)})
	if err != nil {
		t.Fatalf("wait: %v", err)
	}
	return atom.InfoOf(got)
}

func get(t *testing.T, e *Engine, id string) atom.Info {
	t.Helper()
	got, err := e.Get(&atom.EngineGetRequest{ID: id})
	if err != nil {
		t.Fatalf("get: %v", err)
	}
	return atom.InfoOf(got)
}

func logs(t *testing.T, e *Engine, r atom.EngineLogsRequest) string {
	t.Helper()
	text, err := tryLogs(t, e, r)
	if err != nil {
		t.Fatalf("logs: %v after %q", err, text)
	}
	return text
}

func tryLogs(t *testing.T, e *Engine, r atom.EngineLogsRequest) (string, error) {
	t.Helper()
	r.Context = bounded(t)
	in, err := e.Logs(&r)
	if err != nil {
		return "", err
	}
	defer in.Close()
	text, err := io.ReadAll(in)
	return string(text), err
}

// awaitOutput returns when the atom has written that much to stdout.
func awaitOutput(t *testing.T, e *Engine, id, want string) {
	t.Helper()
	in, err := e.Logs(&atom.EngineLogsRequest{ID: id, Stream: atom.Stdout, Context: bounded(t)})
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(in, got); err != nil || string(got) != want {
		t.Fatalf("output %q, %v; want %q", got, err, want)
	}
}

// untilFile is what a script waits with until the test has made a file.
func untilFile(path string) string { return "until test -e " + path + "; do sleep 0.01; done" }

func touch(t *testing.T, path string) {
	t.Helper()
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
}

// eventually polls a condition.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

func alive(pid int) bool { return syscall.Kill(pid, 0) == nil }

func dirOf(e *Engine, a atom.Info) string {
	return e.store.dirOf(atom.DefaultOwner, a.ID[:strings.IndexByte(a.ID, '.')])
}
