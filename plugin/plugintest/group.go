package plugintest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// inGroup reports whether a process group has processes that run. One that
// has ended and that nobody asks about is there, and does not run.
func inGroup(group int) bool {
	if syscall.Kill(-group, 0) == syscall.ESRCH {
		return false
	}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	if len(stats) == 0 {
		return true // no Linux: what is known is known from the signal
	}
	for _, path := range stats {
		state, of := stat(path)
		if of == group && state != "Z" && state != "X" {
			return true
		}
	}
	return false
}

// stat is a process's state and group as /proc has them; see proc(5).
func stat(path string) (state string, group int) {
	text, err := os.ReadFile(path)
	if err != nil {
		return "", 0
	}
	// The name in the middle may hold anything but ends with the last ")".
	rest := string(text[strings.LastIndexByte(string(text), ')')+1:])
	var parent int
	if _, err := fmt.Sscan(rest, &state, &parent, &group); err != nil {
		return "", 0
	}
	return state, group
}
