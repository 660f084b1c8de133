package packaging

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/atom-router/atom-router/internal/testenv"
)

// machine is a systemd on whose machine a release is installed as
// docs/operating.md tells.
type machine struct{ *testenv.Systemd }

func startMachine(t *testing.T) machine {
	t.Helper()
	top := build(t)
	units := filepath.Join(top, "packaging/systemd")
	return machine{testenv.StartSystemd(t, map[string]string{
		"/usr/local/bin": top,
		"/etc/systemd/system/atom-router.service": filepath.Join(units, "atom-router.service"),
		"/etc/systemd/system/atom-router.socket":  filepath.Join(units, "atom-router.socket"),
		"/etc/sysusers.d/atom-router.conf":        filepath.Join(units, "atom-router.sysusers"),
	})}
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
