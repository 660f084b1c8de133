package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	xterm "golang.org/x/term"
)

// terminal is a pseudo terminal with the router on it.
type terminal struct {
	t   *testing.T
	cmd *exec.Cmd
	*os.File
	before xterm.State

	mu   sync.Mutex
	text bytes.Buffer // what was written on it
	over chan struct{}
}

// onTerminal starts the router on a terminal, as a shell does.
func (s *scene) onTerminal(t *testing.T, args ...string) *terminal {
	t.Helper()
	cmd := s.command(args...)
	cmd.Env = append(cmd.Env, "TERM=xterm-256color")
	master, slave, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	if err := pty.Setsize(master, &pty.Winsize{Rows: 24, Cols: 100}); err != nil {
		t.Fatal(err)
	}
	term := &terminal{t: t, cmd: cmd, File: master, before: settings(t, master), over: make(chan struct{})}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { // ends with the terminal
		buffer := make([]byte, 4096)
		for {
			n, err := master.Read(buffer)
			term.mu.Lock()
			term.text.Write(buffer[:n])
			term.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	go func() { cmd.Wait(); close(term.over) }() // ends with the child
	t.Cleanup(func() {
		cmd.Process.Kill()
		<-term.over
		slave.Close()
		master.Close()
	})
	return term
}

func settings(t *testing.T, f *os.File) xterm.State {
	t.Helper()
	s, err := xterm.GetState(int(f.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	return *s
}

// until has the screen drawn anew until a text stands there.
func (term *terminal) until(text string) {
	term.t.Helper()
	for deadline := time.Now().Add(2 * patience); ; {
		term.mu.Lock()
		term.text.Reset()
		term.mu.Unlock()
		term.press("\x0c")
		time.Sleep(200 * time.Millisecond) // between two looks
		if strings.Contains(term.written(), text) {
			return
		}
		select {
		case <-term.over:
			term.t.Fatalf("it ended before it showed %q:\n%q", text, term.written())
		default:
		}
		if time.Now().After(deadline) {
			term.t.Fatalf("it does not show %q but\n%q", text, term.written())
		}
	}
}

func (term *terminal) written() string {
	term.mu.Lock()
	defer term.mu.Unlock()
	return term.text.String()
}

func (term *terminal) press(keys string) {
	term.t.Helper()
	if _, err := term.WriteString(keys); err != nil {
		term.t.Fatal(err)
	}
}

// end waits for the end; the terminal has to be as it was.
func (term *terminal) end(code int) {
	term.t.Helper()
	select {
	case <-term.over:
	case <-time.After(2 * patience):
		term.t.Fatalf("it does not end; it wrote\n%q", term.written())
	}
	if got := term.cmd.ProcessState.ExitCode(); got != code {
		term.t.Errorf("exit code %d, want %d; it wrote\n%q", got, code, term.written())
	}
	if now := settings(term.t, term.File); now != term.before {
		term.t.Errorf("the terminal is not as it was: %+v, before %+v", now, term.before)
	}
	// The other screen is left, and the cursor is there again.
	for _, sequence := range []string{"\x1b[?1049l", "\x1b[?25h"} {
		eventually(term.t, "the terminal is given back", func() bool { return strings.Contains(term.written(), sequence) })
	}
}

// nearAndFar runs a test with a router of the command's own, and with a
// daemon's, whose flags it gets.
func nearAndFar(t *testing.T, test func(t *testing.T, s *scene, flags ...string)) {
	t.Run("near", func(t *testing.T) { test(t, newScene(t, "", processConfig)) })
	t.Run("far", func(t *testing.T) {
		s := newScene(t, "", "")
		socket := filepath.Join(s.tmp, "engine.sock")
		served := filepath.Join(s.work, "served.hcl")
		if err := os.WriteFile(served, fmt.Appendf(nil, "%s\nlisten \"unix\" { path = %q }\n", processConfig, socket), 0o600); err != nil {
			t.Fatal(err)
		}
		daemon := s.start(t, "serve", "-c", served)
		daemon.until(daemon.err, "listening: ")
		defer func() {
			daemon.signal(syscall.SIGTERM)
			if code := daemon.wait(); code != 0 {
				t.Errorf("the daemon ended with %d: %s", code, daemon.err.all.String())
			}
		}()
		test(t, s, "--address", "unix://"+socket)
	})
}

func TestTop(t *testing.T) { nearAndFar(t, testTop) }

func testTop(t *testing.T, s *scene, flags ...string) {
	with := func(args ...string) []string { return append(slices.Clone(flags), args...) }
	var ids []string
	for _, job := range []string{"wanted", "other"} {
		out, errs, code := s.run(t, with("create", "--name", job, "none", "--", "sh", "-c", "printf '\\033]0;title\\007output of "+job+"\\n'; exec sleep 1000")...)
		if code != 0 {
			t.Fatal(errs)
		}
		ids = append(ids, strings.TrimSpace(out))
	}
	term := s.onTerminal(t, with("top")...)
	term.until("1 backend, 2 atoms alive")
	term.until("wanted")
	term.until("other")
	term.press("/wanted\r")
	term.until("filter: wanted")
	term.until(" wanted ")
	if strings.Contains(term.written(), "other") {
		t.Errorf("the filter lets everything through: %q", term.written())
	}
	term.press("\r")
	term.until("logs of " + ids[0])
	term.until("]0;title\uFFFDoutput of wanted")
	if strings.Contains(term.written(), "\x1b]0;title") {
		t.Error("the job set the terminal's title")
	}
	if err := pty.Setsize(term.File, &pty.Winsize{Rows: 12, Cols: 50}); err != nil {
		t.Fatal(err)
	}
	term.until("logs of " + ids[0][:41] + "…")
	term.press("\x1b")
	time.Sleep(time.Second) // what follows Escape at once is one key with it
	term.until("filter: wanted")
	term.press("sn")
	term.until("not stopped")
	term.press("sy")
	term.until("1 atom alive")
	term.press("q")
	term.end(0)
	if out, _, _ := s.run(t, with("list", "--state", "running", "-o", "id")...); out != ids[1]+"\n" {
		t.Errorf("these run yet: %q", out)
	}
	s.run(t, with(append([]string{"rm", "--force"}, ids...)...)...)
}

func TestTopEnds(t *testing.T) {
	s := newScene(t, "", processConfig)
	term := s.onTerminal(t, "top")
	term.until("no atom is alive")
	term.cmd.Process.Signal(syscall.SIGTERM)
	term.end(130)

	out, errs, code := s.run(t, "top")
	if code != 2 || out != "" || !strings.HasPrefix(errs, "Error: top needs a terminal; ") {
		t.Errorf("without a terminal: %d, %q, %q", code, out, errs)
	}
}
