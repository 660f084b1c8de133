//go:build linux || darwin

package process

import (
	"os"
	"os/signal"
	"sync"
	"syscall"
)

// reaper starts shims and takes their exit status when they end, so that they
// do not stay zombies while we live. It waits for none: a wait would hold a
// thread for each running atom.
type reaper struct {
	mu    sync.Mutex
	pids  map[int]struct{}
	ended chan os.Signal
	quit  chan struct{}
	done  sync.WaitGroup
}

func newReaper() *reaper {
	r := &reaper{pids: make(map[int]struct{}), ended: make(chan os.Signal, 1), quit: make(chan struct{})}
	signal.Notify(r.ended, syscall.SIGCHLD)
	r.done.Add(1)
	go r.run() // owned by r; ended by close
	return r
}

func (r *reaper) run() {
	defer r.done.Done()
	for {
		select {
		case <-r.quit:
			return
		case <-r.ended:
			r.reap()
		}
	}
}

// reap takes what has ended of ours, and nobody else's children.
func (r *reaper) reap() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for pid := range r.pids {
		got, err := syscall.Wait4(pid, nil, syscall.WNOHANG, nil)
		if got == pid || err == syscall.ECHILD {
			delete(r.pids, pid)
		}
	}
}

func (r *reaper) start(program string, args []string, attr *syscall.ProcAttr) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	pid, err := syscall.ForkExec(program, args, attr)
	if err != nil {
		return 0, &os.PathError{Op: "exec", Path: program, Err: err}
	}
	r.pids[pid] = struct{}{}
	return pid, nil
}

// kill ends a shim that does not answer. Its PID is its own until reap took
// it.
func (r *reaper) kill(pid int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.pids[pid]; ok {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
}

func (r *reaper) close() {
	signal.Stop(r.ended)
	close(r.quit)
	r.done.Wait()
	r.reap()
}
