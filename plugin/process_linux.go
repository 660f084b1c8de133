package plugin

import (
	"fmt"
	"os"
	"os/exec"

	"golang.org/x/sys/unix"
)

// awaitExit returns when the process has ended, and leaves it to be reaped.
func awaitExit(p *os.Process) {
	for {
		err := unix.Waitid(unix.P_PID, p.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if err != unix.EINTR {
			return
		}
	}
}

// pinned is the command that executes an open file, the very one that was
// hashed, whatever happens to its path meanwhile. The file stays open in the
// plugin as its descriptor 3, so that a script's interpreter can read it too.
func pinned(file *os.File, path string, args []string) (*exec.Cmd, error) {
	cmd := &exec.Cmd{Path: fmt.Sprintf("/proc/self/fd/%d", 3), Args: append([]string{path}, args...)}
	cmd.ExtraFiles = []*os.File{file}
	return cmd, nil
}
