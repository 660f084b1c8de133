//go:build linux

package chaos

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/atom-router/atom-router/internal/testenv"
	"github.com/atom-router/atom-router/internal/testenv/kubespace"
)

// place is all that faults may befall.
type place struct {
	setup
	docker    *testenv.Daemon
	cluster   *testenv.Cluster
	toDocker  *testenv.Proxy
	toCluster *testenv.Proxy
	space     *kubespace.Space
	fleet     *fleet

	// lossy are the times when an engine may have lost output that it had not
	// yet recorded, by backend.
	lossy map[string][]window
	// partial counts the jobs whose output an engine recorded in part, and
	// abandoned those that Docker or a kubelet ended or lost sight of.
	partial, abandoned int
}

type window struct{ from, to time.Time }

// faults are what may happen, and how often in a hundred times or so. Each
// returns when it is over, or when the routers have to deal with it.
var faults = map[string]struct {
	weight int
	do     func(*testing.T, *place, uint64) error
}{
	"plugin killed":          {24, signal(syscall.SIGKILL)},
	"plugin stopped":         {6, signal(syscall.SIGSTOP)},
	"plugin's socket gone":   {6, deleteSocket},
	"older protocol":         {6, olderProtocol},
	"router killed":          {12, func(_ *testing.T, p *place, n uint64) error { return p.fleet.kill(n) }},
	"router stopped":         {6, func(_ *testing.T, p *place, n uint64) error { return p.fleet.pause(n) }},
	"dockerd killed":         {7, killDocker},
	"dockerd stopped":        {4, pauseDocker},
	"API server killed":      {5, killPart(testenv.APIServer)},
	"API server stopped":     {4, pausePart(testenv.APIServer)},
	"kubelet killed":         {5, killPart(testenv.Kubelet)},
	"kubelet stopped":        {3, pausePart(testenv.Kubelet)},
	"docker connections cut": {5, func(_ *testing.T, p *place, _ uint64) error { p.toDocker.Cut(); return nil }},
	"kube connections cut":   {5, func(_ *testing.T, p *place, _ uint64) error { p.toCluster.Cut(); return nil }},
	"disk full":              {5, fillDisk},
}

// faultKinds are those that this run may inject.
func faultKinds() []string {
	if *onlyFaults != "" {
		return strings.Split(*onlyFaults, ",")
	}
	return slices.Sorted(maps.Keys(faults))
}

// weighted has each kind as often as it weighs.
func weighted() []string {
	var bag []string
	for _, kind := range faultKinds() {
		for range faults[kind].weight {
			bag = append(bag, kind)
		}
	}
	return bag
}

// pauseTime is how long what is stopped with SIGSTOP stays so.
const pauseTime = 1500 * time.Millisecond

func (p *place) lose(backend string, from time.Time) {
	// What is in the air at the end of the fault may be lost too.
	p.lossy[backend] = append(p.lossy[backend], window{from.Add(-time.Second), time.Now().Add(time.Second)})
}

func killDocker(t *testing.T, p *place, _ uint64) error {
	defer p.lose("docker", time.Now())
	if err := p.docker.Kill(); err != nil {
		return err
	}
	time.Sleep(500 * time.Millisecond)
	return p.docker.Start(t.Context())
}

func pauseDocker(_ *testing.T, p *place, _ uint64) error {
	err := p.docker.Signal(syscall.SIGSTOP)
	time.Sleep(pauseTime)
	return errors.Join(err, p.docker.Signal(syscall.SIGCONT))
}

func killPart(part string) func(*testing.T, *place, uint64) error {
	return func(t *testing.T, p *place, _ uint64) error {
		if part == testenv.Kubelet {
			defer p.lose(part, time.Now())
		}
		if err := p.cluster.Kill(part); err != nil {
			return err
		}
		time.Sleep(500 * time.Millisecond)
		return p.cluster.Start(t.Context(), part)
	}
}

func pausePart(part string) func(*testing.T, *place, uint64) error {
	return func(_ *testing.T, p *place, _ uint64) error {
		if part == testenv.Kubelet {
			defer p.lose(part, time.Now())
		}
		err := p.cluster.Signal(part, syscall.SIGSTOP)
		time.Sleep(pauseTime)
		return errors.Join(err, p.cluster.Signal(part, syscall.SIGCONT))
	}
}

// plugins are the processes of the plugins, and of which kind each is.
func (p *place) plugins() (pids []int, kinds map[int]string) {
	kinds = make(map[int]string)
	for pid, args := range processes() {
		if len(args) > 3 && args[1] == servePlugin && args[3] == p.Dir {
			pids, kinds[pid] = append(pids, pid), args[2]
		}
	}
	slices.Sort(pids)
	return pids, kinds
}

// processes are the command lines of all processes.
func processes() map[int][]string {
	all := make(map[int][]string)
	lines, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, file := range lines {
		text, err := os.ReadFile(file)
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err == nil && len(text) > 0 && pid != os.Getpid() {
			all[pid] = strings.Split(strings.TrimSuffix(string(text), "\x00"), "\x00")
		}
	}
	return all
}

// signalPlugin sends a signal to one of the plugins, waiting for one. Before
// that it calls before with the kind.
func (p *place) signalPlugin(n uint64, s syscall.Signal, before func(kind string) error) error {
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if pids, kinds := p.plugins(); len(pids) > 0 {
			pid := pids[n%uint64(len(pids))]
			if err := before(kinds[pid]); err != nil {
				return err
			}
			if err := syscall.Kill(pid, s); !errors.Is(err, syscall.ESRCH) {
				return err
			}
		}
		if time.Now().After(deadline) {
			return errors.New("no plugin runs")
		}
	}
}

func signal(s syscall.Signal) func(*testing.T, *place, uint64) error {
	return func(_ *testing.T, p *place, n uint64) error {
		return p.signalPlugin(n, s, func(string) error { return nil })
	}
}

// deleteSocket removes the file of one plugin's socket.
func deleteSocket(_ *testing.T, p *place, n uint64) error {
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		var sockets []string
		err := filepath.WalkDir(p.temp(), func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.Type()&fs.ModeSocket != 0 {
				sockets = append(sockets, path)
			}
			return nil // what vanishes meanwhile is none
		})
		if err != nil {
			return err
		}
		if len(sockets) > 0 {
			if err := os.Remove(sockets[n%uint64(len(sockets))]); !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
		if time.Now().After(deadline) {
			return errors.New("no plugin has a socket")
		}
	}
}

// olderProtocol puts a plugin of another protocol in the place of one, as an
// upgrade gone wrong does, ends a running one, and rolls back.
func olderProtocol(_ *testing.T, p *place, n uint64) error {
	replaced := make(map[string]bool)
	err := p.signalPlugin(n, syscall.SIGKILL, func(kind string) error {
		replaced[kind] = true
		return p.install(kind, "echo '1|0|unix|/nowhere|grpc|'; exec sleep 60")
	})
	time.Sleep(time.Second)
	for kind := range replaced {
		err = errors.Join(err, p.installAs(kind))
	}
	return err
}

// installAs puts the plugin of a kind into the plugin directory.
func (p *place) installAs(kind string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	return p.install(kind, fmt.Sprintf("exec %s %s %s %s", self, servePlugin, kind, p.Dir))
}

// install puts a shell script there, whole at any moment.
func (p *place) install(kind, script string) error {
	path := filepath.Join(p.Dir, "plugins", "atom-plugin-"+kind)
	if err := os.WriteFile(path+".new", []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// fillDisk takes all the room where the process engine keeps its atoms, for a
// while.
func fillDisk(_ *testing.T, p *place, n uint64) error {
	defer p.lose("host", time.Now())
	path := filepath.Join(p.Dir, "disk", "ballast")
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	blanks := make([]byte, 1<<20)
	for size := len(blanks); size > 0; {
		if _, err := f.Write(blanks[:size]); err != nil {
			size /= 2
		}
	}
	time.Sleep(pauseTime)
	return errors.Join(f.Close(), os.Remove(path))
}
