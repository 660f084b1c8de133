package plugin

import (
	"os"
	"os/exec"

	"golang.org/x/sys/unix"
)

// awaitExit returns true when the process has ended, and leaves it to be
// reaped. False says that it could not wait.
func awaitExit(p *os.Process) bool {
	for {
		err := unix.Waitid(unix.P_PID, p.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if err != unix.EINTR {
			return err == nil
		}
	}
}

// unchanging opens a binary and returns the command that executes this very
// file, whatever happens to its path meanwhile. The file stays open in the
// plugin as its descriptor 3, so that a script's interpreter can read it too.
func unchanging(path, _ string) (*os.File, *exec.Cmd, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	return file, &exec.Cmd{Path: "/proc/self/fd/3", ExtraFiles: []*os.File{file}}, nil
}
