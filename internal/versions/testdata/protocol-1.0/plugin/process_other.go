//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package plugin

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// awaitExit returns true when the process has ended, and leaves it to be
// reaped. False says that it could not wait.
func awaitExit(p *os.Process) bool {
	queue, err := unix.Kqueue()
	if err != nil {
		return false
	}
	defer unix.Close(queue)
	var exit unix.Kevent_t
	unix.SetKevent(&exit, p.Pid, unix.EVFILT_PROC, unix.EV_ADD|unix.EV_ONESHOT)
	exit.Fflags = unix.NOTE_EXIT
	for {
		n, err := unix.Kevent(queue, []unix.Kevent_t{exit}, make([]unix.Kevent_t, 1), nil)
		if err != unix.EINTR {
			// ESRCH is a process that had ended before it was asked about.
			return n > 0 || err == unix.ESRCH
		}
	}
}

// unchanging copies a binary into dir, where nobody else can change it, and
// returns the copy and the command that executes it.
func unchanging(path, dir string) (*os.File, *exec.Cmd, error) {
	original, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer original.Close()
	private := filepath.Join(dir, "plugin")
	to, err := os.OpenFile(private, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o700)
	if err != nil {
		return nil, nil, err
	}
	_, err = io.Copy(to, original)
	if err := errors.Join(err, to.Close()); err != nil {
		return nil, nil, err
	}
	file, err := os.Open(private)
	if err != nil {
		return nil, nil, err
	}
	return file, &exec.Cmd{Path: private, ExtraFiles: []*os.File{file}}, nil
}
