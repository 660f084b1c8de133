package shim

import (
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/atom-router/atom-router/plugins/process/internal/state"
)

// Elsewhere than on Linux a job that leaves its process group outlives its
// atom, and the shim's own death leaves it running: the system offers nothing
// against either.

func jobAttr() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }

func adoptOrphans() {}

func dup2(from, to int) error { return syscall.Dup2(from, to) }

func closeInherited(int) {}

// await returns when the main process has ended, and leaves it a zombie, so
// that its PID stays its own.
func await(pid int) time.Time {
	queue, err := unix.Kqueue()
	if err != nil {
		return time.Now() // reapAll waits for it too
	}
	defer unix.Close(queue)
	exits := make([]unix.Kevent_t, 1)
	unix.SetKevent(&exits[0], pid, unix.EVFILT_PROC, unix.EV_ADD|unix.EV_ONESHOT)
	exits[0].Fflags = unix.NOTE_EXIT
	for {
		// An error means that it has ended already.
		if _, err := unix.Kevent(queue, exits, exits, nil); err != unix.EINTR {
			return time.Now()
		}
	}
}

func killGroup(pid int, sig syscall.Signal) { _ = syscall.Kill(-pid, sig) }

func reapAll(pid int, _ time.Duration) syscall.WaitStatus {
	var status syscall.WaitStatus
	for {
		if _, err := syscall.Wait4(pid, &status, 0, nil); err != syscall.EINTR {
			killGroup(pid, syscall.SIGKILL)
			return status
		}
	}
}

func identity(int) (ticks, boot string) { return "", "" }

func KillLeftovers(state.Started) {}
