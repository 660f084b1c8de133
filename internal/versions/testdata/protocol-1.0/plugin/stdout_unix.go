//go:build unix

package plugin

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// keepStdout leaves os.Stdout, where the handshake goes, as it is and points
// file descriptor 1 to stderr, so that what a library prints there does not
// break the handshake but reaches the host's log.
func keepStdout() error {
	real, err := unix.FcntlInt(1, unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return fmt.Errorf("keeping stdout: %w", err)
	}
	if err := dup2(2, 1); err != nil {
		return fmt.Errorf("keeping stdout: %w", err)
	}
	os.Stdout = os.NewFile(uintptr(real), "handshake")
	return nil
}
