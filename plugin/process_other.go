//go:build unix && !linux

package plugin

import (
	"errors"
	"os"
	"os/exec"
)

// awaitExit cannot wait without reaping here; exec.Cmd's Wait does both.
func awaitExit(*os.Process) {}

func pinned(*os.File, string, []string) (*exec.Cmd, error) {
	return nil, errors.New("sha256 pins need Linux")
}
