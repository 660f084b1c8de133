package testenv

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// SystemdVariable tells the tests that this machine can start a systemd.
const SystemdVariable = "ATOM_TEST_SYSTEMD"

// bootTime is how long a systemd may take to boot, and to be gone.
const bootTime = 2 * time.Minute

var systemdNeeds = []need{
	{"/lib/systemd/systemd", "systemd"}, {"systemctl", "systemd"}, {"systemd-nspawn", "systemd-container"}, {"nsenter", "util-linux"},
}

func (e *Env) upSystemd(ctx context.Context) ([]string, bool, error) {
	if _, err := os.Stat("/proc/self/ns/cgroup"); err != nil {
		return nil, false, fmt.Errorf("%w: this is no Linux with namespaces of control groups", ErrNoEngine)
	}
	return []string{SystemdVariable + "=nspawn"}, false, install(ctx, e.out, "systemd", systemdNeeds)
}

// Systemd is a real systemd that runs a machine of its own: the programs are
// this machine's /usr, all else is empty and gone afterwards.
type Systemd struct {
	nspawn *component
	leader int // the systemd's process, as this machine counts
	groups []string
	log    string
}

// StartSystemd boots a systemd that sees files of this machine, by the paths
// it sees them at. It ends with the test, which is skipped or fails like
// Docker where there can be none.
func StartSystemd(t testing.TB, files map[string]string) *Systemd {
	t.Helper()
	if os.Getenv(SystemdVariable) == "" {
		missing(t, "systemd")
	}
	t.Log(Exercised + "systemd")
	// A short one: it is the machine's name.
	dir, err := os.MkdirTemp("/run", "atom-test-systemd")
	if err != nil {
		t.Fatal(err)
	}
	s := &Systemd{log: filepath.Join(dir, "log")}
	t.Cleanup(func() {
		if t.Failed() {
			text, _ := os.ReadFile(s.log)
			t.Logf("systemd said:\n%s", tail(text))
		}
		// One that never booted leaves a directory of nspawn's.
		propagate := filepath.Join("/run/systemd/nspawn/propagate", filepath.Base(dir))
		if err := errors.Join(s.end(), os.RemoveAll(dir), os.RemoveAll(propagate)); err != nil {
			t.Errorf("ending systemd: %v", err)
		}
	})
	if err := s.start(t.Context(), filepath.Base(dir), files); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *Systemd) start(ctx context.Context, name string, files map[string]string) error {
	var err error
	if s.groups, err = makeGroups(name); err != nil {
		return err
	}
	// A systemd takes the control group that it is started in for its own.
	args := append([]string{"sh", "-c", `while [ "$1" != -- ]; do echo $$ >"$1/cgroup.procs" || exit 1; shift; done; shift; exec "$@"`, "sh"}, s.groups...)
	args = append(args, "--", "systemd-nspawn", "--quiet", "--directory=/", "--volatile=yes", "--boot", "--machine="+name,
		"--register=no", "--keep-unit", "--private-network", "--console=pipe")
	for at, path := range files {
		if path, err = filepath.Abs(path); err != nil {
			return err
		}
		args = append(args, "--bind-ro="+path+":"+at)
	}
	// Without the services that this machine's packages would have started.
	args = append(args, "--", "systemd.unit=basic.target", "systemd.log_target=console", "systemd.show_status=no")
	if s.nspawn, err = startComponent("systemd", args, s.log); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, bootTime)
	defer cancel()
	return s.nspawn.await(ctx, func(ctx context.Context) error {
		if s.leader == 0 {
			if s.leader, err = leaderOf(s.nspawn.cmd.Process.Pid); err != nil {
				return err
			}
		}
		out, err := s.Command(ctx, "systemctl", "is-active", "basic.target").CombinedOutput()
		if err != nil {
			err = fmt.Errorf("%w: %s", err, out)
		}
		return err
	})
}

// Command is a program to be run on systemd's machine, as its root.
func (s *Systemd) Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	enter := []string{"--target", strconv.Itoa(s.leader), "--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--wdns=/", "--", name}
	cmd := exec.CommandContext(ctx, "nsenter", append(enter, args...)...)
	cmd.Env = []string{"PATH=/usr/local/bin:/usr/bin:/usr/sbin", "LANG=C.UTF-8", "HOME=/root", "SYSTEMD_PAGER=", "SYSTEMD_COLORS=0"}
	return cmd
}

// leaderOf is the systemd that an nspawn has started.
func leaderOf(nspawn int) (int, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", nspawn, nspawn))
	if err != nil {
		return 0, err
	}
	for _, child := range strings.Fields(string(text)) {
		if comm, err := os.ReadFile("/proc/" + child + "/comm"); err == nil && string(comm) == "systemd\n" {
			return strconv.Atoi(child)
		}
	}
	return 0, errors.New("nspawn has not started systemd yet")
}

// end kills systemd and with it all that runs on its machine.
func (s *Systemd) end() error {
	if s.nspawn == nil {
		return removeGroups(s.groups)
	}
	// With the first process of its namespace all others go, and nspawn
	// clears up behind them.
	if s.leader != 0 {
		if p, err := os.FindProcess(s.leader); err == nil {
			_ = p.Kill()
		}
	} else {
		_ = s.nspawn.cmd.Process.Kill()
	}
	select {
	case <-s.nspawn.ended:
	case <-time.After(bootTime):
		return errors.Join(errors.New("nspawn did not end with its systemd"), s.nspawn.kill())
	}
	return removeGroups(s.groups)
}

// makeGroups makes control groups for one systemd: version 1's of the name
// "systemd", version 2's, or, on a machine that has both, one of each.
func makeGroups(name string) ([]string, error) {
	text, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return nil, err
	}
	var made []string
	for line := range strings.Lines(string(text)) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		root := ""
		switch {
		case len(f) != 3:
		case f[1] == "name=systemd":
			root = "/sys/fs/cgroup/systemd"
		case f[1] == "":
			root = "/sys/fs/cgroup"
			if _, err := os.Stat("/sys/fs/cgroup/unified"); err == nil {
				root = "/sys/fs/cgroup/unified"
			}
		}
		if root == "" {
			continue
		}
		if _, err := os.Stat(filepath.Join(root, "cgroup.procs")); err != nil {
			continue // mounted nowhere
		}
		dir := filepath.Join(root, f[2], name)
		if err := os.Mkdir(dir, 0o755); err != nil {
			return made, err
		}
		made = append(made, dir)
	}
	return made, nil
}

// removeGroups removes them and what systemd made below, where nothing runs
// any more.
func removeGroups(groups []string) error {
	var errs []error
	for _, group := range groups {
		var dirs []string
		_ = filepath.WalkDir(group, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				dirs = append(dirs, path)
			}
			return nil
		})
		for _, dir := range slices.Backward(dirs) {
			errs = append(errs, removeGroup(dir))
		}
	}
	return errors.Join(errs...)
}

// removeGroup removes one whose last process may just be going.
func removeGroup(dir string) error {
	for deadline := time.Now().Add(endTime); ; time.Sleep(20 * time.Millisecond) {
		err := os.Remove(dir)
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if time.Now().After(deadline) {
			left, _ := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
			return fmt.Errorf("%w (processes %s)", err, bytes.Fields(left))
		}
	}
}
