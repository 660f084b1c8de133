package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

const (
	// orderly says when it is ready, and ends by a code of its own.
	orderly = `trap 'echo stopping; echo bye >&2; exit 9' TERM; echo ready; while :; do sleep 0.05; done`
	// stubborn ends by SIGKILL only.
	stubborn = `trap '' TERM; echo ready; while :; do sleep 0.05; done`
)

// The first signal stops the job with its grace; what it still writes is
// delivered, and its code is run's.
func TestInterruptStops(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		t.Run(sig.String(), func(t *testing.T) {
			s := newScene(t, "", processConfig)
			c := s.start(t, "run", "none", "sh", "-c", orderly)
			c.until(c.out, "^ready$")
			c.signal(sig)
			if code := c.wait(); code != 9 {
				t.Errorf("exit code %d", code)
			}
			if got := c.out.all.String(); got != "ready\nstopping\n" {
				t.Errorf("stdout is %q", got)
			}
			if got := c.err.all.String(); !strings.HasPrefix(got, "Stopping process:atom-") || !strings.HasSuffix(got, "\nbye\n") {
				t.Errorf("stderr is %q", got)
			}
		})
	}
}

// The second leaves at once, and the job as it is.
func TestInterruptTwiceLeaves(t *testing.T) {
	s := newScene(t, "", processConfig)
	c := s.start(t, "run", "--stop-timeout", "1h", "none", "sh", "-c", stubborn)
	c.until(c.out, "^ready$")
	c.signal(syscall.SIGINT)
	c.until(c.err, "^Stopping process:atom-.* on interrupt; once more leaves it running$")
	c.signal(syscall.SIGINT)
	if code := c.wait(); code != codeInterrupt {
		t.Errorf("exit code %d", code)
	}
	text := c.err.all.String()
	if !strings.Contains(text, "Left running: process:atom-") {
		t.Errorf("stderr is %q", text)
	}
	id := idIn(t, text)
	if out, _, code := s.run(t, "get", id); code != 0 || !strings.Contains(out, "stopping") && !strings.Contains(out, "running") {
		t.Errorf("get: %d, %q", code, out)
	}
	if _, errs, code := s.run(t, "rm", "--force", id); code != 0 {
		t.Errorf("rm: %d, %q", code, errs)
	}
}

// A job under nohup goes on when its terminal goes away.
func TestHangupIgnored(t *testing.T) {
	s := newScene(t, "", processConfig)
	run := s.command("run", "none", "sh", "-c", `echo ready; while ! test -e "$0/go"; do sleep 0.05; done; exit 5`, s.work)
	sh := exec.Command("sh", append([]string{"-c", `trap '' HUP; exec "$@"`, "sh"}, run.Args...)...)
	sh.Dir, sh.Env = run.Dir, run.Env
	c := startChild(t, sh)
	c.until(c.out, "^ready$")
	c.signal(syscall.SIGHUP)
	if err := os.WriteFile(filepath.Join(s.work, "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if code := c.wait(); code != 5 {
		t.Errorf("exit code %d, stderr %q", code, c.err.all.String())
	}
}

// An interrupt while the plugin starts ends that, too.
func TestInterruptWhileStarting(t *testing.T) {
	s := newScene(t, "", `
plugin_dir = "."
backend "hung" { plugin = "hung" }
default { backend = "hung" }
`)
	plugin := "#!/bin/sh\ntouch " + s.work + "/started\nwhile :; do sleep 0.05; done\n"
	if err := os.WriteFile(filepath.Join(s.work, "atom-plugin-hung"), []byte(plugin), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"run", "none"}, {"create", "none"}, {"list"}, {"get", "hung:x"}, {"wait", "hung:x"}, {"backends"}, {"validate", "--plugins"}} {
		t.Run(args[0], func(t *testing.T) {
			started := filepath.Join(s.work, "started")
			os.Remove(started)
			c := s.start(t, args...)
			eventually(t, "the plugin is started", func() bool { _, err := os.Stat(started); return err == nil })
			c.signal(syscall.SIGINT)
			if code := c.wait(); code != codeInterrupt {
				t.Errorf("exit code %d, stderr %q", code, c.err.all.String())
			}
		})
	}
}

// Verbs that only watch leave the atom alone when they are interrupted.
func TestInterruptWatching(t *testing.T) {
	s := newScene(t, "", processConfig)
	out, _, _ := s.run(t, "run", "-d", "none", "sh", "-c", stubborn)
	id := idIn(t, out)
	c := s.start(t, "logs", "-f", id)
	c.until(c.out, "^ready$")
	c.signal(syscall.SIGINT)
	if code := c.wait(); code != codeInterrupt {
		t.Errorf("logs: exit code %d, stderr %q", code, c.err.all.String())
	}
	if out, _, _ := s.run(t, "get", "-o", "json", id); !strings.Contains(out, `"state": "running"`) {
		t.Errorf("it is %s", out)
	}
	if _, errs, code := s.run(t, "rm", "--force", id); code != 0 {
		t.Errorf("rm: %d, %q", code, errs)
	}
}

// A reader that goes away, or a full disk, costs no job: it is kept and its ID
// printed.
func TestOutputLost(t *testing.T) {
	t.Run("reader gone", func(t *testing.T) {
		s := newScene(t, "", processConfig)
		c := s.start(t, "run", "none", "sh", "-c", `while :; do echo line; done`)
		c.until(c.out, "^line$")
		c.out.file.Close()
		c.kept(s)
	})
	t.Run("disk full", func(t *testing.T) {
		s := newScene(t, "", processConfig)
		full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
		if err != nil {
			t.Skip("there is no /dev/full on this system")
		}
		defer full.Close()
		cmd := s.command("run", "none", "sh", "-c", "echo line; exit 3")
		cmd.Stdout = full
		startChild(t, cmd).kept(s)
	})
	// Other verbs have nothing to say about it.
	t.Run("list", func(t *testing.T) {
		s := newScene(t, "", processConfig)
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		r.Close()
		defer w.Close()
		cmd := s.command("list")
		cmd.Stdout = w
		c := startChild(t, cmd)
		if code := c.wait(); code != codePipe || c.err.all.String() != "" {
			t.Errorf("exit code %d, stderr %q", code, c.err.all.String())
		}
	})
}

// kept wants a run to end without its job's code, and to have kept the atom.
func (c *child) kept(s *scene) {
	c.t.Helper()
	if code := c.wait(); code != codeRouter {
		c.t.Errorf("exit code %d", code)
	}
	text := c.err.all.String()
	if !strings.HasPrefix(text, "Kept: ") || !strings.Contains(text, "\nError: ") {
		c.t.Errorf("stderr is %q", text)
	}
	if _, errs, code := s.run(c.t, "rm", "--force", idIn(c.t, text)); code != 0 {
		c.t.Errorf("rm: %d, %q", code, errs)
	}
}
