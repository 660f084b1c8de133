package testenv

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// endTime is how long processes may take to be gone after SIGKILL.
const endTime = 20 * time.Second

// endProcesses kills every process that names one of the directories on its
// command line, dockerd, containerd and the shims among them, and what runs
// in the containers of those shims. It returns when all are gone.
func endProcesses(dirs ...string) error {
	for deadline := time.Now().Add(endTime); ; time.Sleep(50 * time.Millisecond) {
		left := processesOf(dirs)
		if len(left) == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("processes %v do not end", left)
		}
		for _, pid := range left {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}

// processesOf are the processes that name a directory, and their descendants,
// but for this one and its ancestors, which may be told of the directories
// too.
func processesOf(dirs []string) []int {
	parents := make(map[int]int)
	var found []int
	entries, _ := filepath.Glob("/proc/[0-9]*")
	for _, entry := range entries {
		pid, err := strconv.Atoi(filepath.Base(entry))
		if err != nil {
			continue
		}
		stat, err := os.ReadFile(filepath.Join(entry, "stat"))
		if err != nil {
			continue
		}
		// "pid (command) state ppid …", and the command may hold anything.
		_, rest, _ := bytes.Cut(stat[max(0, bytes.LastIndexByte(stat, ')')):], []byte(") "))
		fields := strings.Fields(string(rest))
		if len(fields) < 2 || fields[0] == "Z" {
			continue
		}
		parents[pid], _ = strconv.Atoi(fields[1])
		line, _ := os.ReadFile(filepath.Join(entry, "cmdline"))
		for _, dir := range dirs {
			if bytes.Contains(line, []byte(dir)) {
				found = append(found, pid)
				break
			}
		}
	}
	ours := map[int]bool{}
	for pid := os.Getpid(); pid > 0; pid = parents[pid] {
		ours[pid] = true
	}
	found = slices.DeleteFunc(found, func(pid int) bool { return ours[pid] })
	for added := true; added; {
		added = false
		for pid, parent := range parents {
			if slices.Contains(found, parent) && !slices.Contains(found, pid) && !ours[pid] {
				found, added = append(found, pid), true
			}
		}
	}
	return found
}

// unmount unmounts everything under the directories, what was mounted last
// first.
func unmount(dirs ...string) error {
	text, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return nil // not Linux: nothing was mounted
	}
	var errs []error
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	for _, line := range slices.Backward(lines) {
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		for _, dir := range dirs {
			if fields[1] == dir || strings.HasPrefix(fields[1], dir+"/") {
				errs = append(errs, detach(fields[1]))
				break
			}
		}
	}
	return errors.Join(errs...)
}
