package driver

import (
	"os"
	"syscall"

	"github.com/atom-router/atom-router/atom"
)

// ExitOf is how a process of this machine ended, for drivers whose jobs are
// such. A nil state is an end that nobody witnessed.
func ExitOf(state *os.ProcessState) atom.Exit {
	if state == nil || !state.Exited() && !signaled(state) {
		return atom.Exit{}
	}
	code := state.ExitCode()
	if signaled(state) {
		code = 128 + int(state.Sys().(syscall.WaitStatus).Signal())
	}
	return atom.Exit{Code: &code}
}

func signaled(state *os.ProcessState) bool {
	status, ok := state.Sys().(syscall.WaitStatus)
	return ok && status.Signaled()
}
