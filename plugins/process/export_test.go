//go:build linux || darwin

package process

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/atom-router/atom-router/plugins/process/internal/shim"
)

// Running returns the processes that run that binary and are no shims.
func Running(path string) []*os.Process {
	var found []*os.Process
	exes, _ := filepath.Glob("/proc/[0-9]*/exe")
	for _, link := range exes {
		exe, _ := os.Readlink(link)
		cmdline, _ := os.ReadFile(filepath.Join(filepath.Dir(link), "cmdline"))
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(link)))
		if err != nil || exe != path || strings.Contains(string(cmdline), shim.Arg) {
			continue
		}
		if p, err := os.FindProcess(pid); err == nil {
			found = append(found, p)
		}
	}
	return found
}
