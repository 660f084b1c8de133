package plugin

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

const (
	// Names are short: a socket's path has at most 108 bytes (unix(7)), on
	// some systems 104.
	socketPrefix = "atomr-"
	maxTempDir   = 40
	// lockName is a file that is locked as long as its maker lives, so that
	// others can tell what was left behind, also by one in another container.
	lockName = "lock"
	// unlockedAge is how old a directory is at the least when it is swept:
	// younger ones may not be locked yet.
	unlockedAge = time.Minute
)

// socketDir is a directory, for us alone, for a plugin's socket.
type socketDir struct {
	path string
	lock *os.File
}

// makeSocketDir makes one, and sweeps up those of hosts that were killed.
func makeSocketDir() (*socketDir, error) {
	base := os.TempDir()
	if len(base) > maxTempDir {
		base = "/tmp"
	}
	sweep(base)
	path, err := os.MkdirTemp(base, socketPrefix)
	if err != nil {
		return nil, err
	}
	lock, err := os.OpenFile(filepath.Join(path, lockName), os.O_CREATE|os.O_RDWR, 0o600)
	if err == nil {
		err = syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	}
	d := &socketDir{path: path, lock: lock}
	if err != nil {
		return nil, errors.Join(err, d.remove())
	}
	return d, nil
}

func (d *socketDir) remove() error {
	err := os.RemoveAll(d.path)
	if d.lock != nil {
		d.lock.Close()
	}
	return err
}

// sweep removes our directories whose makers are gone.
func sweep(base string) {
	dirs, _ := filepath.Glob(filepath.Join(base, socketPrefix+"*"))
	for _, dir := range dirs {
		info, err := os.Lstat(dir)
		if err != nil || !info.IsDir() || time.Since(info.ModTime()) < unlockedAge {
			continue
		}
		if owner, ok := info.Sys().(*syscall.Stat_t); !ok || int(owner.Uid) != os.Getuid() {
			continue
		}
		lock, err := os.Open(filepath.Join(dir, lockName))
		if err != nil {
			continue
		}
		if syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil {
			_ = os.RemoveAll(dir)
		}
		lock.Close()
	}
}
