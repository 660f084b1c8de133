package packaging

import (
	"context"
	"errors"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/atom-router/atom-router/internal/testenv"
)

// machine is a systemd on whose machine a release is installed as
// docs/operating.md tells.
type machine struct{ *testenv.Systemd }

func startMachine(t *testing.T) machine {
	t.Helper()
	top := build(t)
	units := filepath.Join(top, "packaging/systemd")
	m := machine{testenv.StartSystemd(t, map[string]string{
		"/usr/local/bin": top,
		"/etc/systemd/system/atom-router.service": filepath.Join(units, "atom-router.service"),
		"/etc/systemd/system/atom-router.socket":  filepath.Join(units, "atom-router.socket"),
		"/etc/sysusers.d/atom-router.conf":        filepath.Join(units, "atom-router.sysusers"),
	})}
	t.Cleanup(func() {
		if t.Failed() {
			out, err := m.Command(context.Background(), "journalctl", "--no-pager").CombinedOutput()
			t.Logf("the journal (%v):\n%s", err, out[max(0, len(out)-8000):])
		}
	})
	return m
}

// try runs a program there as root, and returns all that it printed.
func (m machine) try(t *testing.T, name string, args ...string) (string, error) {
	t.Helper()
	text, err := m.Command(t.Context(), name, args...).CombinedOutput()
	return strings.TrimSpace(string(text)), err
}

// run is try for what has to work.
func (m machine) run(t *testing.T, name string, args ...string) string {
	t.Helper()
	text, err := m.try(t, name, args...)
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, text)
	}
	return text
}

// TestUnits: a real systemd understands the units, and has little to say
// against what the daemon may do.
func TestUnits(t *testing.T) {
	m := startMachine(t)
	if text := m.run(t, "systemd-analyze", "verify", "--man=no", "atom-router.service", "atom-router.socket"); text != "" {
		t.Errorf("systemd-analyze verify: %s", text)
	}
	// The scale goes from 0 to 100, and what has no hardening is above 90.
	m.run(t, "systemd-analyze", "security", "--threshold=25", "atom-router.service")
	for property, want := range map[string]string{"KillMode": "process", "Type": "notify"} {
		if got := m.run(t, "systemctl", "show", "--value", "--property", property, "atom-router.service"); got != want {
			t.Errorf("%s is %q, want %q", property, got, want)
		}
	}
	if id := m.run(t, "id", "-u", "atom-router"); id == "0" {
		t.Error("the daemon's user is root")
	}
}

// socket is where the daemon serves there.
const socket = "/run/atom-router/engine.sock"

const processConfig = `
backend "process" {
  plugin = "process"
}
default { backend = "process" }
`

// configure writes the daemon's config.
func (m machine) configure(t *testing.T, text string) {
	t.Helper()
	cmd := m.Command(t.Context(), "sh", "-c", "mkdir -p /etc/atom-router && cat >/etc/atom-router/config.hcl")
	cmd.Stdin = strings.NewReader(text)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("writing the config: %v: %s", err, out)
	}
}

// client runs a verb of atom-router's against the daemon.
func (m machine) client(t *testing.T, args ...string) string {
	t.Helper()
	return m.run(t, "atom-router", append([]string{"--address", "unix://" + socket}, args...)...)
}

// property is what systemd knows of the service.
func (m machine) property(t *testing.T, name string) string {
	t.Helper()
	return m.run(t, "systemctl", "show", "--value", "--property", name, "atom-router.service")
}

func (m machine) expect(t *testing.T, when, property, want string) {
	t.Helper()
	if got := m.property(t, property); got != want {
		t.Fatalf("%s: %s is %q, want %q; its log:\n%s", when, property, got, want, m.journal(t))
	}
}

func (m machine) journal(t *testing.T) string {
	t.Helper()
	m.run(t, "journalctl", "--sync") // it takes messages in when it comes to it
	return m.run(t, "journalctl", "--unit", "atom-router.service", "--output", "cat", "--no-pager")
}

// startJob starts a job that does not end by itself, and returns its ID and its
// process.
func (m machine) startJob(t *testing.T) (id, pid string) {
	t.Helper()
	id = m.client(t, "create", "none", "--", "sh", "-c", "echo $$; exec sleep 100000")
	for deadline := time.Now().Add(time.Minute); pid == ""; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the job does not tell its process's number")
		}
		pid = m.client(t, "logs", id)
	}
	return id, pid
}

// TestSystemd: the first client has the daemon started; stopping and restarting
// the unit, as an upgrade does, ends the daemon and no job, and the next daemon
// finds it.
func TestSystemd(t *testing.T) {
	m := startMachine(t)
	m.configure(t, processConfig)
	m.run(t, "systemctl", "start", "atom-router.socket")
	m.expect(t, "before the first client", "ActiveState", "inactive")
	id, pid := m.startJob(t)
	m.expect(t, "with a client", "ActiveState", "active")
	m.expect(t, "with a client", "StatusText", "Serving at unix://"+socket)

	m.run(t, "systemctl", "stop", "atom-router.service")
	m.expect(t, "stopped", "ActiveState", "inactive")
	m.expect(t, "stopped", "Result", "success")
	m.run(t, "kill", "-0", pid)
	// The job's process and the one that accounts for it: no plugin, no daemon.
	if got := m.run(t, "sh", "-c", "stat --format %U /proc/[0-9]* 2>/dev/null | grep -c '^atom-router$'"); got != "2" {
		t.Errorf("stopping the unit left %s processes, want the job's two", got)
	}

	// The socket is still there, and has the next daemon started.
	if got := m.client(t, "get", "-o", "json", id); !strings.Contains(got, `"state": "running"`) {
		t.Errorf("the next daemon says of the job:\n%s", got)
	}
	first := m.property(t, "MainPID")
	m.run(t, "systemctl", "restart", "atom-router.service")
	if second := m.property(t, "MainPID"); second == first {
		t.Errorf("the daemon was not restarted: its process is %s", second)
	}
	m.client(t, "stop", "--force", id)
	var exit *exec.ExitError
	if text, err := m.try(t, "atom-router", "--address", "unix://"+socket, "wait", id); !errors.As(err, &exit) || exit.ExitCode() != 137 {
		t.Errorf("the wait for the job ended with %v (%s), want exit code 137", err, text)
	}
	if got := m.client(t, "logs", id); got != pid {
		t.Errorf("the job's output is %q, want %q", got, pid)
	}
	m.client(t, "delete", id)
}

// TestSystemdReload: a reload takes a new config up, and refuses a wrong one
// with the reason in the unit's log.
func TestSystemdReload(t *testing.T) {
	m := startMachine(t)
	m.configure(t, processConfig)
	m.run(t, "systemctl", "start", "atom-router.service")
	// Without the socket unit the daemon makes its own.
	if got := m.run(t, "stat", "--format", "%a %U", socket); got != "600 atom-router" {
		t.Errorf("the socket's mode and owner are %s", got)
	}
	m.configure(t, processConfig+"rule \"new\" {\n  match { image = \"x\" }\n  reject = \"not here\"\n}\n")
	m.run(t, "systemctl", "reload", "atom-router.service")
	m.expect(t, "reloaded", "ActiveState", "active")
	explained, _ := m.try(t, "atom-router", "--address", "unix://"+socket, "explain", "x")
	if !strings.Contains(explained, "not here") {
		t.Errorf("the new rule is not asked: %s", explained)
	}
	m.configure(t, processConfig+"owner = 7 +\n")
	if text, err := m.try(t, "systemctl", "reload", "atom-router.service"); err == nil {
		t.Errorf("a wrong config was taken up: %s", text)
	}
	if log := m.journal(t); !strings.Contains(log, "nothing was changed") || !strings.Contains(log, "config.hcl") {
		t.Errorf("the unit's log does not say what is wrong:\n%s", log)
	}
	m.expect(t, "after a refused reload", "ActiveState", "active")
	m.client(t, "list")
}
