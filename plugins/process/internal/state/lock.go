//go:build linux || darwin

package state

import (
	"errors"
	"os"
	"syscall"
)

// TryLock takes an Flock of that kind (syscall.LOCK_SH or LOCK_EX) on the
// file at path; nil and no error where another holds it. The lock goes with
// the file that is returned, also when the process is killed. Programs that
// are started meanwhile do not get it: it is close-on-exec.
func TryLock(path string, kind int) (*os.File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	ok, err := Flock(f, kind)
	if !ok || err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func Flock(f *os.File, kind int) (bool, error) {
	for {
		switch err := syscall.Flock(int(f.Fd()), kind|syscall.LOCK_NB); {
		case err == nil:
			return true, nil
		case errors.Is(err, syscall.EINTR):
		case errors.Is(err, syscall.EWOULDBLOCK):
			return false, nil
		default:
			return false, &os.PathError{Op: "flock", Path: f.Name(), Err: err}
		}
	}
}

// IsAt reports whether f is still the file at path.
func IsAt(f *os.File, path string) (bool, error) {
	held, err := f.Stat()
	if err != nil {
		return false, err
	}
	there, err := os.Stat(path)
	if err != nil {
		return false, err
	}
	return os.SameFile(held, there), nil
}
