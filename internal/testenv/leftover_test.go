package testenv

import (
	"bufio"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
)

// killedVariable makes TestLeftovers the process that is killed.
const killedVariable = "ATOM_TEST_TO_BE_KILLED"

// TestLeftovers: what a killed test left is removed by who comes next; what a
// test still uses is left alone.
func TestLeftovers(t *testing.T) {
	if os.Getenv(killedVariable) != "" {
		d := StartDocker(t)
		fmt.Printf("running %s %s\n", d.run, d.state)
		_, _ = io.Copy(io.Discard, os.Stdin) // or until the other test is gone
		return
	}
	ours := StartDocker(t)
	cmd := exec.Command(os.Args[0], "-test.run", "^TestLeftovers$")
	cmd.Env = append(os.Environ(), killedVariable+"=1")
	if _, err := cmd.StdinPipe(); err != nil { // which ends with this process
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer cmd.Process.Kill()
	var left Daemon
	lines := bufio.NewScanner(out)
	for left.run == "" {
		if !lines.Scan() {
			t.Fatalf("the other test ended: %v", lines.Err())
		}
		_, _ = fmt.Sscanf(lines.Text(), "running %s %s", &left.run, &left.state)
	}
	if err := removeLeftovers(); err != nil {
		t.Fatal(err)
	}
	if !answers(t.Context(), left.socket()) {
		t.Fatal("the daemon of a test that runs was removed")
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // its lock goes with it
	if !answers(t.Context(), left.socket()) {
		t.Fatal("the daemon ended with its test: there is nothing to show")
	}
	if err := removeLeftovers(); err != nil {
		t.Fatal(err)
	}
	if pids := processesOf([]string{left.run, left.state}); len(pids) > 0 {
		t.Errorf("processes %v are left", pids)
	}
	for _, dir := range []string{left.run, left.state, "/sys/class/net/" + bridgeOf(left.run).name} {
		if _, err := os.Stat(dir); !os.IsNotExist(err) {
			t.Errorf("%s is left (%v)", dir, err)
		}
	}
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil || strings.Contains(string(mounts), left.state) || strings.Contains(string(mounts), left.run) {
		t.Errorf("mounts are left (%v):\n%s", err, mounts)
	}
	if !answers(t.Context(), ours.socket()) {
		t.Error("the daemon of this test was removed")
	}
}

// TestBridgesShareNoNetwork: not even bridges that are made at once.
func TestBridgesShareNoNetwork(t *testing.T) {
	Docker(t) // which needs bridges as well
	var all sync.WaitGroup
	var networks [8]netip.Prefix
	for i := range networks {
		b := bridgeOf(fmt.Sprintf("%s/%d", t.TempDir(), i))
		t.Cleanup(func() {
			if err := b.remove(); err != nil {
				t.Error(err)
			}
		})
		all.Go(func() {
			err := b.add()
			if err == nil {
				networks[i], err = b.address()
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	for i, one := range networks {
		for _, other := range networks[:i] {
			if one.Overlaps(other) {
				t.Errorf("two bridges have the networks %s and %s", one, other)
			}
		}
	}
}
