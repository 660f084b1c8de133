package daemon

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/hashicorp/go-hclog"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/router"
)

// child is a daemon in a process of its own.
type child struct {
	t   *testing.T
	cmd *exec.Cmd
}

func (s *site) child(config string) *child {
	s.t.Helper()
	self, err := os.Executable()
	if err != nil {
		s.t.Fatal(err)
	}
	cmd := exec.Command(self, serveDaemon, config)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	c := &child{s.t, cmd}
	s.t.Cleanup(func() { c.end(syscall.SIGKILL) })
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		s.t.Fatalf("the daemon said %q: %v", line, err)
	}
	return c
}

func (c *child) end(s syscall.Signal) {
	if c.cmd.ProcessState == nil {
		_ = c.cmd.Process.Signal(s)
		_ = c.cmd.Wait()
	}
}

// What a client waits for and reads goes on over the daemon's end, whichever
// way it ended, as if nothing had been.
func TestClientsOutliveTheDaemon(t *testing.T) {
	for _, how := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		t.Run(how.String(), func(t *testing.T) {
			s := newSite(t)
			config := s.config(s.listen(), `drain_timeout = "0s"`)
			first := s.child(config)
			r := s.dial(s.endpoint())
			go1 := s.path("go")
			a := sh(t, r, fmt.Sprintf("for i in $(seq 1000); do echo line $i; done; while [ ! -e %s ]; do sleep 0.05; done; for i in $(seq 1000); do echo more $i; done; exit 7", go1))
			logs, err := r.Logs(&atom.EngineLogsRequest{ID: a.ID(), Context: within(t)})
			if err != nil {
				t.Fatal(err)
			}
			defer logs.Close()
			lines := bufio.NewReader(logs)
			var got strings.Builder
			for range 500 {
				line, err := lines.ReadString('\n')
				if err != nil {
					t.Fatal(err)
				}
				got.WriteString(line)
			}
			type end struct {
				a   atom.Atom
				err error
			}
			waited := make(chan end, 1)
			go func() { // ends with the Wait
				a, err := r.Wait(&atom.EngineWaitRequest{ID: a.ID(), Context: within(t)})
				waited <- end{a, err}
			}()
			first.end(how)
			s.child(config)
			if err := os.WriteFile(go1, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(&got, lines); err != nil {
				t.Errorf("the logs end with %v", err)
			}
			var want strings.Builder
			for i := range 1000 {
				fmt.Fprintf(&want, "line %d\n", i+1)
			}
			for i := range 1000 {
				fmt.Fprintf(&want, "more %d\n", i+1)
			}
			if got.String() != want.String() {
				t.Errorf("got %d bytes of output that are not the %d written", got.Len(), want.Len())
			}
			e := <-waited
			if e.err != nil {
				t.Fatal(e.err)
			}
			if code := atom.InfoOf(e.a).ExitCode; code == nil || *code != 7 {
				t.Errorf("exit code %v, want 7", code)
			}
			if err := r.Delete(&atom.EngineDeleteRequest{ID: a.ID(), Context: within(t)}); err != nil {
				t.Error(err)
			}
		})
	}
}

// While it ends the daemon answers, and takes nothing new; Waits end with its
// timeout. The atom is as it was.
func TestDrain(t *testing.T) {
	s := newSite(t)
	config := s.config(s.listen(), `drain_timeout = "2s"`)
	d, err := Start(t.Context(), options(config, nil))
	if err != nil {
		t.Fatal(err)
	}
	r := s.dial(s.endpoint())
	a := sh(t, r, "sleep 60")
	// The router's own patience would sit the end out.
	waited := make(chan error, 1)
	ctx, cancel := context.WithCancel(within(t))
	go func() { // ends with the Wait
		_, err := r.Wait(&atom.EngineWaitRequest{ID: a.ID(), Context: ctx})
		waited <- err
	}()
	if _, err := r.Get(&atom.EngineGetRequest{ID: a.ID()}); err != nil {
		t.Fatal(err)
	}
	stopped := make(chan error, 1)
	go func() { stopped <- d.Stop(t.Context()) }() // ends with the drain
	var createErr error
	for {
		made, err := r.Create(&atom.EngineCreateRequest{Image: "none", Command: []string{"true"}, Context: within(t)})
		if createErr = err; err != nil {
			break
		}
		if err := r.Delete(&atom.EngineDeleteRequest{ID: made.ID(), Force: true}); err != nil && !errdefs.IsUnavailable(err) {
			t.Error(err)
		}
	}
	if !errdefs.IsUnavailable(createErr) {
		t.Errorf("a Create meanwhile: got error %v, want Unavailable", createErr)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(s.path("s")); !os.IsNotExist(err) {
		t.Errorf("the socket is there yet: %v", err)
	}
	cancel()
	if err := <-waited; err == nil {
		t.Error("the Wait reports an end that nobody saw")
	}
	r.Close()
	s.start(config)
	again := s.dial(s.endpoint())
	got, err := again.Get(&atom.EngineGetRequest{ID: a.ID()})
	if err != nil {
		t.Fatal(err)
	}
	if got.State() != atom.Running {
		t.Errorf("the atom is %s, want running", got.State())
	}
	if err := again.Delete(&atom.EngineDeleteRequest{ID: a.ID(), Force: true}); err != nil {
		t.Error(err)
	}
}

// listener is a log that waits for a text.
type listener struct {
	text string
	once sync.Once
	said chan struct{}
}

func (l *listener) Write(p []byte) (int, error) {
	if strings.Contains(string(p), l.text) {
		l.once.Do(func() { close(l.said) })
	}
	return len(p), nil
}

// Who comes while the daemon ends is served by the one that is started in its
// place.
func TestClientOfARestart(t *testing.T) {
	s := newSite(t)
	config := s.config(s.listen(), `drain_timeout = "1m"`)
	d, err := Start(t.Context(), options(config, nil))
	if err != nil {
		t.Fatal(err)
	}
	r := s.dial(s.endpoint())
	a := sh(t, r, "sleep 60") // keeps the daemon draining
	ctx, cancel := context.WithCancel(within(t))
	logs, err := r.Logs(&atom.EngineLogsRequest{ID: a.ID(), Context: ctx})
	if err != nil {
		t.Fatal(err)
	}
	defer logs.Close()
	stopping, end := context.WithCancel(t.Context())
	stopped := make(chan error, 1)
	go func() { stopped <- d.Stop(stopping) }() // ends below
	for !d.gate.draining.Load() {
		time.Sleep(time.Millisecond)
	}
	told := &listener{text: "shutting down", said: make(chan struct{})}
	dialled := make(chan error, 1)
	go func() { // ends with the Dial
		again, err := router.Dial(within(t), s.endpoint(), router.Options{Logger: hclog.New(&hclog.LoggerOptions{Output: told})})
		if err == nil {
			defer again.Close()
			err = again.Delete(&atom.EngineDeleteRequest{ID: a.ID(), Force: true, Context: within(t)})
		}
		dialled <- err
	}()
	<-told.said
	end()
	cancel()
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	s.start(config)
	if err := <-dialled; err != nil {
		t.Error(err)
	}
}

// A wrong config changes nothing and says why; a right one is turned to.
func TestReload(t *testing.T) {
	s := newSite(t)
	d := s.start(s.config(s.listen()))
	r := s.dial(s.endpoint())
	explain := func() router.Decision {
		t.Helper()
		got, err := r.Explain(within(t), &atom.EngineCreateRequest{Image: "none", Command: []string{"true"}})
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	if got := explain(); got.Backend() != "host" || got.Rule != "default" {
		t.Fatalf("got %+v, want host by default", got)
	}
	for name, test := range map[string]struct{ config, want string }{
		"a mistake":        {s.listen() + "\nrule \"r\" { backend = \"hots\" }", `unknown backend "hots"`},
		"another listener": {"listen \"unix\" {\n  path = \"other\"\n}", "restart it for other listen"},
		"an audit log":     {s.listen() + "\naudit_log = \"no/such/dir\"", "the audit log: open "},
		"a missing plugin": {s.listen() + "\nbackend \"more\" { plugin = \"nosuch\" }\nrule \"r\" { backend = \"more\" }", "there is no atom-plugin-nosuch"},
	} {
		s.config(test.config)
		_, err := r.Reload(within(t))
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got error %v, want %q in it", name, err, test.want)
		}
		if got := explain(); got.Rule != "default" {
			t.Errorf("%s: it was turned to: %+v", name, got)
		}
	}
	s.config(s.listen(), "rule \"all\" { backend = \"host\" }")
	if _, err := r.Reload(within(t)); err != nil {
		t.Fatal(err)
	}
	if got := explain(); got.Rule != "all" {
		t.Errorf("got %+v, want rule all", got)
	}
	// Access is of now, on connections that are there already.
	s.config(s.listen(), "access \"x\" {\n  users = \"nobody-here\"\n  owner = \"x\"\n}")
	if _, err := d.Reload(within(t)); err != nil {
		t.Fatal(err)
	}
	if _, err := r.List(&atom.EngineListRequest{Context: within(t)}); !errdefs.IsPermissionDenied(err) {
		t.Errorf("got error %v, want PermissionDenied", err)
	}
}
