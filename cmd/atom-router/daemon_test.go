package main

import (
	"fmt"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/atom-router/atom-router/internal/testenv"
)

const dockerConfig = `
owner = getenv("OWNER")
backend "docker" {
  plugin = "docker"
  config {
    host = getenv("DOCKER_HOST")
  }
}
default { backend = "docker" }
`

// A daemon that goes away under a run and comes back costs nothing: the rest
// of the output is delivered, and the job's code.
func TestDaemonRestarts(t *testing.T) {
	d := testenv.StartDocker(t)
	s := newScene(t, d.Host(), dockerConfig)
	c := s.start(t, "run", testenv.ProbeImage, "lines", "40", "200ms", "line", ";", "exit", "5")
	c.until(c.out, "^line 2$")
	if err := d.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := d.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if code := c.wait(); code != 5 {
		t.Errorf("exit code %d, stderr %q", code, c.err.all.String())
	}
	var want strings.Builder
	for i := range 40 {
		fmt.Fprintf(&want, "line %d\n", i)
	}
	if diff := cmp.Diff(want.String(), c.out.all.String()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// While it is away the run says so, and can be left.
func TestDaemonAway(t *testing.T) {
	d := testenv.StartDocker(t)
	s := newScene(t, d.Host(), dockerConfig)
	c := s.start(t, "run", testenv.ProbeImage, "print", "ready", ";", "sleep", "1000s")
	c.until(c.out, "^ready$")
	if err := d.Kill(); err != nil {
		t.Fatal(err)
	}
	c.until(c.err, "^backend docker: no Docker daemon answers at .*; waiting up to 2m0s for it$")
	c.signal(syscall.SIGINT)
	c.until(c.err, "^Stopping docker:.* on interrupt; once more leaves it running$")
	c.until(c.err, "^Error: stop docker:.*: no Docker daemon answers at ")
	c.signal(syscall.SIGINT)
	if code := c.wait(); code != codeInterrupt {
		t.Errorf("exit code %d, stderr %q", code, c.err.all.String())
	}
	text := c.err.all.String()
	if !strings.Contains(text, "Left running: docker:") {
		t.Errorf("stderr is %q", text)
	}
	if _, errs, code := s.run(t, "run", testenv.ProbeImage); code != codeRouter || !strings.HasPrefix(errs, "Error: create on docker: no Docker daemon answers at ") {
		t.Errorf("a new run: exit code %d, stderr %q", code, errs)
	}
	if err := d.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, errs, code := s.run(t, "rm", "--force", idIn(t, text)); code != 0 {
		t.Errorf("rm: %d, %q", code, errs)
	}
}
