package main

import (
	"bufio"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// patience bounds what a test waits for.
const patience = 30 * time.Second

// newScene is a directory with a config, in which a test runs the router; at
// its end nothing may be left in it.
func newScene(t *testing.T, host, config string) *scene {
	t.Helper()
	tmp, err := shortTemp()
	if err != nil {
		t.Fatal(err)
	}
	s := &scene{work: t.TempDir(), tmp: tmp, host: host, owner: "cli-" + filepath.Base(tmp)}
	if err := os.WriteFile(filepath.Join(s.work, "atom-router.hcl"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.end(t) })
	return s
}

const processConfig = `
backend "process" { plugin = "process" }
default { backend = "process" }
`

func (s *scene) command(args ...string) *exec.Cmd {
	cmd := exec.Command("atom-router", args...)
	cmd.Dir = s.work
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + filepath.Join(s.work, "home"), "XDG_STATE_HOME=" + filepath.Join(s.work, "state"),
		"TMPDIR=" + s.tmp, "DOCKER_HOST=" + s.host, "OWNER=" + s.owner,
	}
	return cmd
}

// run runs the router to its end.
func (s *scene) run(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	cmd := s.command(args...)
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// child is the router while it runs, in a process group of its own as a shell
// makes one.
type child struct {
	t        *testing.T
	cmd      *exec.Cmd
	out, err *stream
	ended    chan struct{}
}

// stream is what a child wrote, line by line.
type stream struct {
	file  *os.File
	lines *bufio.Reader
	all   strings.Builder
}

func (s *scene) start(t *testing.T, args ...string) *child {
	t.Helper()
	return startChild(t, s.command(args...))
}

func startChild(t *testing.T, cmd *exec.Cmd) *child {
	t.Helper()
	c := &child{t: t, cmd: cmd, ended: make(chan struct{})}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var theirs []*os.File
	for _, side := range []struct {
		stream **stream
		to     *io.Writer
	}{{&c.out, &cmd.Stdout}, {&c.err, &cmd.Stderr}} {
		if *side.to != nil {
			continue
		}
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		*side.stream, *side.to = &stream{file: r, lines: bufio.NewReader(r)}, w
		theirs = append(theirs, w)
		t.Cleanup(func() { r.Close() })
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for _, w := range theirs {
		w.Close()
	}
	go func() { cmd.Wait(); close(c.ended) }() // ends with the child
	t.Cleanup(func() {
		select {
		case <-c.ended:
		default:
			cmd.Process.Kill()
			<-c.ended
		}
	})
	return c
}

// until reads on to the line that matches.
func (c *child) until(s *stream, pattern string) string {
	c.t.Helper()
	want := regexp.MustCompile(pattern)
	s.file.SetReadDeadline(time.Now().Add(patience))
	for {
		line, err := s.lines.ReadString('\n')
		s.all.WriteString(line)
		if want.MatchString(strings.TrimSuffix(line, "\n")) {
			return line
		}
		if err != nil {
			c.t.Fatalf("no line matches %q: %v; it wrote:\n%s", pattern, err, s.all.String())
		}
	}
}

// signal is to the whole group, as from a terminal.
func (c *child) signal(sig syscall.Signal) {
	c.t.Helper()
	if err := syscall.Kill(-c.cmd.Process.Pid, sig); err != nil {
		c.t.Fatal(err)
	}
}

// wait waits for the end and returns the exit code; what it wrote is in out
// and err.
func (c *child) wait() int {
	c.t.Helper()
	for _, s := range []*stream{c.out, c.err} {
		if s == nil {
			continue
		}
		s.file.SetReadDeadline(time.Now().Add(patience))
		rest, err := io.ReadAll(s.lines)
		s.all.Write(rest)
		if err != nil && !errors.Is(err, os.ErrClosed) {
			c.t.Fatalf("it does not end: %v; it wrote:\n%s", err, s.all.String())
		}
	}
	select {
	case <-c.ended:
	case <-time.After(patience):
		c.t.Fatal("it does not end")
	}
	return c.cmd.ProcessState.ExitCode()
}

// idIn is the atom's ID in a text.
func idIn(t *testing.T, text string) string {
	t.Helper()
	id := regexp.MustCompile(`(process:atom-[a-z2-7]{26}\.[a-z2-7]{16})|(docker:[0-9a-f]{64})`).FindString(text)
	if id == "" {
		t.Fatalf("no ID in %q", text)
	}
	return id
}

// eventually polls for a condition.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !condition(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not in %v: %s", patience, what)
		}
	}
}
