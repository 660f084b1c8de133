package realtest

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/atom-router/atom-router/atom"
)

// plugins are the processes of a parent that serve as plugins.
func plugins(t *testing.T, parent int) []int {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	var found []int
	for _, path := range stats {
		stat, err := os.ReadFile(path)
		line, lerr := os.ReadFile(filepath.Join(filepath.Dir(path), "cmdline"))
		if err != nil || lerr != nil {
			continue // it has ended
		}
		_, rest, _ := strings.Cut(string(stat), ") ") // state, parent, …
		args := strings.Split(string(line), "\x00")
		if fields := strings.Fields(rest); len(fields) > 1 && fields[1] == fmt.Sprint(parent) && strings.Contains(strings.Join(args[1:], " "), "-plugin") {
			pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
			if err != nil {
				t.Fatal(err)
			}
			found = append(found, pid)
		}
	}
	return found
}

// resume kills the plugin under a Wait, which goes on with the next one.
func resume(t *testing.T, e *fleet) {
	t.Helper()
	a, err := e.Create(&atom.EngineCreateRequest{Image: "x", Command: []string{"/bin/sleep", "1000"}})
	if err != nil {
		t.Fatal(err)
	}
	waited := make(chan error, 1)
	go func() { // ends with the Stop
		_, err := e.Wait(&atom.EngineWaitRequest{ID: a.ID()})
		waited <- err
	}()
	until(t, func() bool { return scrape(t, e.url)[`open_requests{backend="local",operation="wait"}`] == 1 })
	before := plugins(t, os.Getpid())
	if len(before) != 1 {
		t.Fatalf("plugins %v; want one", before)
	}
	if err := syscall.Kill(before[0], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	until(t, func() bool { // the Wait has started another
		now := plugins(t, os.Getpid())
		return len(now) == 1 && now[0] != before[0]
	})
	if err := e.Stop(&atom.EngineStopRequest{ID: a.ID(), Force: true}); err != nil {
		t.Fatal(err)
	}
	if err := <-waited; err != nil {
		t.Fatal(err)
	}
}

func TestResumedStreams(t *testing.T) {
	e := start(t)
	resume(t, e)
	expect(t, scrape(t, e.url), map[string]float64{
		`resumed_streams_total{backend="local",operation="wait"}`: 1,
		`backend_restarts_total{backend="local"}`:                 1,
	})
}
