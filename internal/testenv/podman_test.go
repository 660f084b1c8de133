//go:build linux

package testenv

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A Podman of our own leaves nothing, whatever ran in it and whatever became of
// its service.
func TestPodmanLeavesNothing(t *testing.T) {
	Podman(t)
	run, err := os.MkdirTemp("/run", "atp")
	if err != nil {
		t.Fatal(err)
	}
	state, err := os.MkdirTemp("/var/lib", "atom-test-podman")
	if err != nil {
		t.Fatal(err)
	}
	p := podman{state, run}
	removed := false
	t.Cleanup(func() {
		if !removed {
			if err := p.remove(); err != nil {
				t.Error(err)
			}
		}
	})
	if err := p.start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := LoadProbe(t.Context(), p.host()); err != nil {
		t.Fatal(err)
	}
	// As nobody does who is killed while a job runs.
	text, err := exec.Command("podman", "--remote", "--url", p.host(), "run", "--detach", ProbeImage, "sleep", "1h").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	id := strings.TrimSpace(string(text))
	if len(processesOf([]string{state, run})) < 3 {
		t.Error("of the service, the job's monitor and the job not all are seen, so that they would not be ended")
	}
	if err := p.remove(); err != nil {
		t.Fatal(err)
	}
	removed = true
	if left := processesOf([]string{state, run}); len(left) > 0 {
		t.Errorf("processes %v are left", left)
	}
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil || strings.Contains(string(mounts), state) || strings.Contains(string(mounts), run) {
		t.Errorf("mounts are left, %v:\n%s", err, mounts)
	}
	for _, pattern := range []string{state, run, "/run/runc/" + id, "/sys/fs/cgroup/libpod_parent/*" + id, "/sys/fs/cgroup/*/libpod_parent/*" + id} {
		if left, err := filepath.Glob(pattern); err != nil || len(left) > 0 {
			t.Errorf("left are %v, %v", left, err)
		}
	}
}
