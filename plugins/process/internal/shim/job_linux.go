package shim

import (
	"bytes"
	"os"
	"strconv"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/atom-router/atom-router/plugins/process/internal/state"
)

// jobAttr puts the job into a session of its own, and has the kernel kill it
// when we die before it: nobody would be left to record its end.
func jobAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
}

// adoptOrphans makes us the parent of all that the job leaves behind.
func adoptOrphans() { _ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) }

func dup2(from, to int) error { return unix.Dup3(from, to, 0) }

// closeInherited closes what whoever started us left open from descriptor
// from on. Everything that our own runtime opened is close-on-exec.
func closeInherited(from int) {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return
	}
	for _, entry := range entries {
		fd, err := strconv.Atoi(entry.Name())
		if err != nil || fd < from {
			continue
		}
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil && flags&unix.FD_CLOEXEC == 0 {
			_ = unix.Close(fd)
		}
	}
}

// await returns when the main process has ended, and leaves it a zombie, so
// that its PID stays its own. Orphans that end before it are reaped.
func await(pid int) time.Time {
	for {
		var info unix.Siginfo
		err := unix.Waitid(unix.P_ALL, 0, &info, unix.WEXITED|unix.WNOWAIT, nil)
		if err == unix.EINTR {
			continue
		}
		ended := childOf(&info)
		if err != nil || ended == pid {
			return time.Now()
		}
		_, _ = unix.Wait4(ended, nil, unix.WNOHANG, nil)
	}
}

// childOf is si_pid, which x/sys leaves unnamed: the first word of the union
// that follows three ints, aligned as a pointer is.
func childOf(info *unix.Siginfo) int {
	const word = unsafe.Sizeof(uintptr(0))
	return int(*(*int32)(unsafe.Add(unsafe.Pointer(info), (12+word-1)/word*word)))
}

// killGroup signals the job's process group. The group's leader has not been
// reaped, so the number is its own.
func killGroup(pid int, sig syscall.Signal) { _ = syscall.Kill(-pid, sig) }

// reapAll kills and reaps all that is left of the job, whose main process has
// ended, and returns how that was. Orphans come to us however they left group
// or session, so it ends when we have no children; or after bound, where one
// cannot be killed.
func reapAll(pid int, bound time.Duration) syscall.WaitStatus {
	killGroup(pid, syscall.SIGKILL)
	var status syscall.WaitStatus
	for {
		if _, err := syscall.Wait4(pid, &status, 0, nil); err != syscall.EINTR {
			break
		}
	}
	pause := 100 * time.Microsecond
	for end := time.Now().Add(bound); time.Now().Before(end); {
		got, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
		switch {
		case err == syscall.EINTR || got > 0:
			continue
		case err != nil:
			return status // no children
		}
		self := os.Getpid()
		for _, p := range processes() {
			if p.parent == self {
				_ = syscall.Kill(p.pid, syscall.SIGKILL)
			}
		}
		time.Sleep(pause)
		pause = min(2*pause, 20*time.Millisecond)
	}
	return status
}

// process is a line of the process table.
type process struct {
	pid, parent, session int
	zombie               bool
	ticks                string // start time
}

func processes() []process {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var all []process
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		if p, ok := processOf(pid); ok {
			all = append(all, p)
		}
	}
	return all
}

func processOf(pid int) (process, bool) {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return process{}, false
	}
	// The name, in parentheses, may hold blanks and parentheses.
	fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
	if len(fields) < 20 {
		return process{}, false
	}
	p := process{pid: pid, zombie: fields[0][0] == 'Z', ticks: string(fields[19])}
	p.parent, _ = strconv.Atoi(string(fields[1]))
	p.session, _ = strconv.Atoi(string(fields[3]))
	return p, true
}

// identity tells a process from a later one with its PID.
func identity(pid int) (ticks, boot string) {
	p, _ := processOf(pid)
	return p.ticks, bootID()
}

func bootID() string {
	text, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return string(bytes.TrimSpace(text))
}

// KillLeftovers kills what a job whose shim was killed left running: the
// kernel took its main process along, not what that had started. Only
// processes of the job's session are touched, and none where the session's
// number may have come to mean another.
func KillLeftovers(job state.Started) {
	if job.Ticks == "" || job.Boot == "" || job.Boot != bootID() {
		return
	}
	if leader, ok := processOf(job.PID); ok && leader.ticks != job.Ticks {
		return
	}
	first, err := strconv.ParseUint(job.Ticks, 10, 64)
	if err != nil {
		return
	}
	for _, p := range processes() {
		if at, err := strconv.ParseUint(p.ticks, 10, 64); err == nil && p.session == job.PID && at >= first && !p.zombie {
			_ = syscall.Kill(p.pid, syscall.SIGKILL)
		}
	}
}
