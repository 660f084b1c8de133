package daemon

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/hashicorp/go-hclog"

	"github.com/atom-router/atom-router/atom"
)

// A reload that comes while the daemon ends is refused, and keeps it from
// nothing.
func TestReloadDuringStop(t *testing.T) {
	s := newSite(t)
	d := s.start(s.config(s.listen(), `drain_timeout = "3s"`))
	r := s.dial(s.endpoint())
	a := sh(t, r, "sleep 60")
	waiting := make(chan struct{})
	go func() { // ends with the daemon
		defer close(waiting)
		_, _ = r.Wait(&atom.EngineWaitRequest{ID: a.ID(), Context: within(t)})
	}()
	stopped := make(chan error, 1)
	go func() { stopped <- d.Stop(within(t)) }() // ends with the drain
	for !d.gate.draining.Load() {
		time.Sleep(time.Millisecond)
	}
	began := time.Now()
	if _, err := r.Reload(within(t)); !errdefs.IsUnavailable(err) {
		t.Errorf("the reload: got error %v, want Unavailable", err)
	}
	if took := time.Since(began); took > time.Minute {
		t.Errorf("the reload was answered after %v", took)
	}
	select {
	case err := <-stopped:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(time.Minute):
		t.Fatal("the daemon does not end")
	}
	r.Close()
	<-waiting
}

// Each Create is in the audit log, also where a reload opens it anew
// meanwhile.
func TestAuditOverReloads(t *testing.T) {
	s := newSite(t)
	d := s.start(s.config(s.listen(), `audit_log = "audit"`))
	const each = 200
	var writing sync.WaitGroup
	for range 4 {
		writing.Go(func() {
			for range each {
				d.gate.audit(client{}.record("create"))
			}
		})
	}
	done := make(chan struct{})
	go func() {
		writing.Wait()
		close(done)
	}()
	for reloading := true; reloading; {
		if _, err := d.Reload(within(t)); err != nil {
			t.Fatal(err)
		}
		select {
		case <-done:
			reloading = false
		default:
		}
	}
	text, err := os.ReadFile(s.path("audit"))
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(string(text), "\n"); got != 4*each {
		t.Errorf("there are %d lines, want %d", got, 4*each)
	}
}

// However long a client's texts are, the lines about them are not.
func TestAuditIsBounded(t *testing.T) {
	s := newSite(t)
	var log strings.Builder
	o := options(s.config(s.listen(), "audit_log = \"audit\"\naccess \"me\" {\n  users = \"*\"\n  owner = \"mine\"\n}"), hclog.New(&hclog.LoggerOptions{Output: &log}))
	d, err := Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	r := s.dial(s.endpoint())
	long := strings.Repeat("x", 8<<20)
	for what, err := range map[string]error{
		"stop":   r.Stop(&atom.EngineStopRequest{ID: "host:" + long, Context: within(t)}),
		"delete": r.Delete(&atom.EngineDeleteRequest{ID: long + ":x", Context: within(t)}),
		"denied": r.Delete(&atom.EngineDeleteRequest{ID: "host:x", Owner: long, Context: within(t)}),
	} {
		if err == nil || len(err.Error()) > 64<<10+len(long) {
			t.Errorf("%s: got an error of %d bytes", what, len(fmt.Sprint(err)))
		}
	}
	if err := d.Stop(canceled()); err != nil {
		t.Error(err)
	}
	text, err := os.ReadFile(s.path("audit"))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Count(string(text), "\n") != 3 || len(text) > 64<<10 {
		t.Errorf("the audit log has %d lines and %d bytes, want 3 lines and not much", strings.Count(string(text), "\n"), len(text))
	}
	if log.Len() > 64<<10 {
		t.Errorf("the log has %d bytes", log.Len())
	}
}

// Values of env are taken out of texts, also where one is part of another and
// where they are quoted.
func TestWithoutValues(t *testing.T) {
	env := map[string]string{"A": "secret", "B": "secret-and-more", "C": "two\nlines\"", "D": "ab"}
	for text, want := range map[string]string{
		"it is secret-and-more, not secret": "it is (value of B), not (value of A)",
		`it is "two\nlines\""`:              `it is "(value of C)"`,
		"two\nlines\"":                      "(value of C)",
	} {
		for range 20 { // maps have no order
			if got := without(text, env); got != want {
				t.Fatalf("%q is %q, want %q", text, got, want)
			}
		}
	}
}

// A plugin that hangs when the daemon ends takes no client's Wait at another
// backend with it: that goes on with the next daemon.
func TestWaitsOutliveAHangingPlugin(t *testing.T) {
	s := newSite(t)
	self, err := os.Executable()
	if err == nil {
		err = os.WriteFile(s.path("atom-plugin-other"), fmt.Appendf(nil, "#!/bin/sh\nexec %s %s other\n", self, servePlugin), 0o700)
	}
	if err != nil {
		t.Fatal(err)
	}
	second := fmt.Sprintf("plugin_dir = \".\"\nbackend \"other\" {\n  plugin = \"other\"\n  config {\n    state_dir = %q\n  }\n}", s.path("other"))
	config := s.config(s.listen(), second, `drain_timeout = "0s"`)
	d, err := Start(t.Context(), options(config, nil))
	if err != nil {
		t.Fatal(err)
	}
	r := s.dial(s.endpoint())
	if _, err := r.ProbeBackends(within(t)); err != nil {
		t.Fatal(err)
	}
	goOn := s.path("go")
	a := sh(t, r, fmt.Sprintf("while [ ! -e %s ]; do sleep 0.05; done; exit 7", goOn))
	type end struct {
		a   atom.Atom
		err error
	}
	waited := make(chan end, 1)
	go func() { // ends with the Wait
		a, err := r.Wait(&atom.EngineWaitRequest{ID: a.ID(), Context: within(t)})
		waited <- end{a, err}
	}()
	freeze(t, "other")
	if err := d.Stop(canceled()); err != nil {
		t.Error(err)
	}
	s.start(config)
	if err := os.WriteFile(goOn, nil, 0o600); err != nil {
		t.Fatal(err)
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
}

// freeze stops the plugin process of this test that has this argument.
func freeze(t *testing.T, argument string) {
	t.Helper()
	lists, _ := filepath.Glob("/proc/self/task/*/children")
	for _, list := range lists {
		text, _ := os.ReadFile(list)
		for _, child := range strings.Fields(string(text)) {
			line, _ := os.ReadFile("/proc/" + child + "/cmdline")
			if pid, err := strconv.Atoi(child); err == nil && strings.HasSuffix(string(line), "\x00"+argument+"\x00") {
				if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
					t.Fatal(err)
				}
				return
			}
		}
	}
	t.Fatalf("no plugin %s runs", argument)
}
