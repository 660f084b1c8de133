package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// memoryWatch samples a process's resident memory until asked.
type memoryWatch struct {
	before, peak int64
	stop, done   chan struct{}
}

// watchMemory begins to sample process pid, 0 for this one.
func watchMemory(pid int) *memoryWatch {
	if pid == 0 {
		pid = os.Getpid()
	}
	first := resident(pid)
	w := &memoryWatch{before: first, peak: first, stop: make(chan struct{}), done: make(chan struct{})}
	go func() { // ends when growthMiB is asked
		defer close(w.done)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				w.peak = max(w.peak, resident(pid))
			case <-w.stop:
				return
			}
		}
	}()
	return w
}

// growthMiB ends the sampling and tells how far the memory rose above what it
// was at the beginning.
func (w *memoryWatch) growthMiB() float64 {
	close(w.stop)
	<-w.done
	return float64(w.peak-w.before) / (1 << 20)
}

// resident is a process's resident set in bytes, 0 if it is gone.
func resident(pid int) int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(text))
	pages, _ := strconv.ParseInt(fields[1], 10, 64)
	return pages * int64(os.Getpagesize())
}

// childNamed is the child of this process whose program has that name, and is
// none of the others.
func childNamed(program string, others ...int) (int, error) {
	lists, _ := filepath.Glob("/proc/self/task/*/children")
	for _, list := range lists {
		text, _ := os.ReadFile(list)
		for pid := range strings.FieldsSeq(string(text)) {
			line, _ := os.ReadFile("/proc/" + pid + "/cmdline")
			if !strings.Contains(string(line), program) {
				continue
			}
			if n, err := strconv.Atoi(pid); err == nil && !slices.Contains(others, n) {
				return n, nil
			}
		}
	}
	return 0, fmt.Errorf("no child process runs %s", program)
}
