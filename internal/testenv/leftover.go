package testenv

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// What one test alone has is in two directories with one name, of which the
// one with sockets, whose paths must be short, is under /run. It has the file
// that the test's process holds locked, so that what is left of a killed run
// can be told.
const (
	privateRun    = "/run"
	privateState  = "/var/lib/atom-router-test"
	privateDocker = "atd"
	privateKube   = "atk"
	ownerFile     = "owner"
)

// privateDirs are the directories of a test's own engine, which are not made
// under the test's temporary one: what that removes at the end would have to
// be unmounted first.
func privateDirs(t testing.TB, kind string) (state, run string) {
	t.Helper()
	unlock, err := lockMachine() // or a sweep could come before the owner's lock
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	if run, err = os.MkdirTemp(privateRun, kind); err != nil {
		t.Fatal(err)
	}
	owner, err := lockFile(filepath.Join(run, ownerFile), os.O_CREATE, syscall.LOCK_EX)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { owner.Close() }) // after the engine's own
	return privateStateOf(run), run
}

func privateStateOf(run string) string { return filepath.Join(privateState, filepath.Base(run)) }

// removeLeftovers removes the engines whose tests were killed: their
// processes would go on, and their mounts and bridges stay.
func removeLeftovers() error {
	left, err := leftovers()
	for run, owner := range left {
		state := privateStateOf(run)
		remove := (&Daemon{state: state, run: run}).Remove
		if strings.HasPrefix(filepath.Base(run), privateKube) {
			remove = (&Cluster{state: state, run: run}).Remove
		}
		if e := remove(); e != nil {
			err = errors.Join(err, fmt.Errorf("removing what a killed test left in %s and %s: %w", run, state, e))
		}
		owner.Close()
	}
	return err
}

// leftovers are the directories under privateRun whose owner is gone, with the
// locks on them.
func leftovers() (map[string]*os.File, error) {
	var owners []string
	for _, kind := range []string{privateDocker, privateKube} {
		found, _ := filepath.Glob(filepath.Join(privateRun, kind+"*", ownerFile))
		owners = append(owners, found...)
	}
	if len(owners) == 0 {
		return nil, nil // nor need there be a privateRun
	}
	unlock, err := lockMachine()
	if err != nil {
		return nil, err
	}
	defer unlock()
	left := make(map[string]*os.File)
	for _, path := range owners {
		switch owner, e := lockFile(path, 0, syscall.LOCK_EX|syscall.LOCK_NB); {
		case e == nil:
			left[filepath.Dir(path)] = owner
		case errors.Is(e, syscall.EWOULDBLOCK): // its test runs
		case errors.Is(e, os.ErrNotExist): // it has just ended
		default:
			err = errors.Join(err, e)
		}
	}
	return left, err
}

// machineLock is held while something of which the machine has one, such as a
// network's addresses, is chosen and taken.
const machineLock = "/run/atom-router-test.lock"

// lockMachine waits for machineLock and returns what gives it back.
func lockMachine() (unlock func(), err error) {
	lock, err := lockFile(machineLock, os.O_CREATE, syscall.LOCK_EX)
	if err != nil {
		return nil, err
	}
	return func() { lock.Close() }, nil
}

// lockFile opens a file, with these flags too, and locks it until it is closed
// or the process ends.
func lockFile(path string, flags, how int) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|flags, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err = syscall.Flock(int(f.Fd()), how)
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("locking %s: %w", path, err)
	}
	return f, nil
}
