package main

import (
	"bytes"
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

// memoryTrend samples a process's resident memory over a run.
type memoryTrend struct {
	samples    []float64 // MiB
	stop, done chan struct{}
}

func followMemory(pid int) *memoryTrend {
	t := &memoryTrend{stop: make(chan struct{}), done: make(chan struct{})}
	go func() { // ends with end
		defer close(t.done)
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				t.samples = append(t.samples, float64(resident(pid))/(1<<20))
			case <-t.stop:
				return
			}
		}
	}()
	return t
}

// end ends the sampling and gives what it found, the oldest first.
func (t *memoryTrend) end() []float64 {
	close(t.stop)
	<-t.done
	return t.samples
}

// part is the median of the nth of so many equal parts of a run's samples, 0
// for the first.
func part(samples []float64, n, parts int) float64 {
	return median(samples[n*len(samples)/parts : (n+1)*len(samples)/parts])
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
	return childOf(os.Getpid(), program, others...)
}

// childOf is the same of another process.
func childOf(parent int, program string, others ...int) (int, error) {
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", parent))
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
	return 0, fmt.Errorf("no child of process %d runs %s", parent, program)
}

// processorTimeOf is what a process has used of the processors, in steps of 10
// ms (proc(5): /proc/pid/stat, USER_HZ), 0 if it is gone.
func processorTimeOf(pid int) time.Duration {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	// The name of the program, in parentheses, may hold spaces.
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * 10 * time.Millisecond
}
