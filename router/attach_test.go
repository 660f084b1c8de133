package router

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/containerd/errdefs"

	"github.com/atom-router/atom-router/atom"
)

// debugging starts the plugin "works" by hand, and returns it with its socket.
// Its sockets are in TMPDIR.
func debugging(t *testing.T) (*exec.Cmd, string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, servePlugin, "works-debug")
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { kill(cmd) })
	var said bytes.Buffer
	for buf := make([]byte, 1024); !strings.HasSuffix(said.String(), "ends the plugin.\n"); {
		n, err := out.Read(buf)
		said.Write(buf[:n])
		if err != nil {
			t.Fatalf("the plugin said %q, and then: %v", said.String(), err)
		}
	}
	_, rest, _ := strings.Cut(said.String(), `attach = "`)
	socket, _, _ := strings.Cut(rest, `"`)
	return cmd, socket
}

func kill(cmd *exec.Cmd) { cmd.Process.Kill(); cmd.Wait() }

func debugDir(t *testing.T) {
	t.Helper()
	dir, err := os.MkdirTemp("", "rt")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	t.Setenv("TMPDIR", dir)
}

// TestAttach: an attached plugin serves, is dialled again when it was started
// again, and outlives the router.
func TestAttach(t *testing.T) {
	debugDir(t)
	first, socket := debugging(t)
	e := process(t, "works", Options{AllowAttach: true}, func(b *Backend) {
		b.Attach, b.SHA256 = socket, strings.Repeat("ab", 32)
		b.Settings = fixed(`{"greeting": "hello"}`)
	})
	if got := pid(t, e); got != first.Process.Pid {
		t.Errorf("process %d serves, want %d", got, first.Process.Pid)
	}
	kill(first)
	for n := range breakerAfter + 1 { // it stays away for longer than a launched one may
		_, err := e.Get(&atom.EngineGetRequest{ID: "a:pid"})
		if !errdefs.IsUnavailable(err) {
			t.Errorf("while it is away: %v", err)
		}
		e.now.byName["a"].mu.Lock()
		if s := e.now.byName["a"]; s.state == Failed || time.Until(s.retryAt) > attachPause {
			t.Errorf("after %d calls it is %s for another %v", n, s.state, time.Until(s.retryAt))
		}
		e.now.byName["a"].retryAt = time.Time{}
		e.now.byName["a"].mu.Unlock()
	}
	second, again := debugging(t)
	if again != socket {
		t.Fatalf("it is at %s now, and was at %s", again, socket)
	}
	var now int
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		a, err := e.Get(&atom.EngineGetRequest{ID: "a:pid"})
		if err == nil {
			fmt.Sscan(atom.InfoOf(a).Name, &now)
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	if now != second.Process.Pid {
		t.Errorf("process %d serves, want %d", now, second.Process.Pid)
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
	if err := syscall.Kill(second.Process.Pid, 0); err != nil {
		t.Errorf("the router's end was the plugin's: %v", err)
	}
	kill(second)
	if second.ProcessState.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Errorf("the plugin had ended by itself: %v", second.ProcessState)
	}
}

// TestAttachSettings: what the plugin finds wrong is told as by any other, and
// a fixed plugin is asked soon.
func TestAttachSettings(t *testing.T) {
	debugDir(t)
	_, socket := debugging(t)
	e := process(t, "works", Options{AllowAttach: true}, func(b *Backend) {
		b.Attach, b.Settings = socket, fixed(`{"greeting": "wrong"}`)
	})
	err := e.Validate(t.Context())
	if want := "start on a: fleet.hcl:4: greeting: is impolite"; !errdefs.IsInvalidArgument(err) || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if s := e.Backends()[0]; s.State != BackingOff {
		t.Errorf("it is %s", s.State)
	}
}

// TestAttachRefused: a config alone attaches nothing.
func TestAttachRefused(t *testing.T) {
	config := Config{
		Backends: []Backend{{Name: "a", Plugin: "works", Attach: "/run/a.sock"}, {Name: "b", Engine: with("k")}},
		Default:  Rule{Tiers: tiers("a", "b")},
	}
	_, err := New(t.Context(), config, Options{NoJanitor: true})
	want := `router config: backend[0].attach: backend "a" is attached to a plugin that is being debugged. ` +
		"Nobody supervises such a plugin. Take attach out, or allow it where you debug: with --allow-attach, or Options.AllowAttach."
	if !errdefs.IsInvalidArgument(err) || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	allowed, err := New(t.Context(), config, Options{NoJanitor: true, AllowAttach: true})
	if err != nil {
		t.Fatal(err)
	}
	allowed.Close()
	_, err = New(t.Context(), Config{
		Backends: []Backend{{Name: "a", Address: "unix:///run/b.sock", Attach: "/run/a.sock"}}, Default: Rule{Tiers: tiers("a")},
	}, Options{NoJanitor: true, AllowAttach: true})
	if want := "router config: backend[0].attach: attach is for plugins. It is the daemon at the address that is attached to one."; err == nil || err.Error() != want {
		t.Errorf("with an address: %v", err)
	}
	// Nor does a Reload.
	config.Backends[0].Attach = ""
	e, err := New(t.Context(), config, Options{NoJanitor: true})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	config.Backends = []Backend{{Name: "a", Plugin: "works", Attach: "/run/a.sock"}, {Name: "b", Engine: with("k")}}
	if err := e.Reload(t.Context(), config); !errdefs.IsInvalidArgument(err) || !strings.Contains(err.Error(), "is attached to a plugin") {
		t.Errorf("a reload: %v", err)
	}
}
