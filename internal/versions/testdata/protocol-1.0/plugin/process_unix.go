//go:build unix

package plugin

import (
	"os"
	"syscall"
)

// groupOfItsOwn keeps a terminal's Ctrl-C from the plugin, and lets what it
// started be killed with it.
func groupOfItsOwn() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

func killGroup(pid int) { _ = syscall.Kill(-pid, syscall.SIGKILL) }

// endOwnGroup ends the group that this process was made the leader of, itself
// included.
func endOwnGroup() {
	if syscall.Getpgrp() == os.Getpid() {
		killGroup(os.Getpid())
	}
}
