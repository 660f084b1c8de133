//go:build linux

package chaos

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"
)

// routers is how many run at a time, and concurrency the jobs that each has.
const (
	routers     = 3
	concurrency = 8
)

// fleet gives jobs to router processes. The jobs of one that is killed are
// given to another, under the same Keys.
type fleet struct {
	t *testing.T
	s setup

	mu      sync.Mutex
	changed *sync.Cond
	waiting []*job
	allowed int // of all jobs so many may have begun
	begun   int
	done    map[int]*outcome
	members []*member
	started int
	wrong   []string
	closing bool
}

// outcome is what became of a job.
type outcome struct {
	report
	began, ended time.Time
	again        int // routers that were killed under it
}

// member is a router process.
type member struct {
	cmd  *exec.Cmd
	in   io.WriteCloser
	jobs map[int]*job  // nil when it is gone
	gone chan struct{} // closed when it was reaped, under the fleet's mu
}

func newFleet(t *testing.T, s setup, jobs []job) *fleet {
	f := &fleet{t: t, s: s, done: make(map[int]*outcome)}
	f.changed = sync.NewCond(&f.mu)
	for n := range jobs {
		f.waiting = append(f.waiting, &jobs[n])
		f.done[n] = &outcome{}
	}
	for n := range routers {
		f.members = append(f.members, nil)
		if err := f.begin(n); err != nil {
			t.Fatal(err)
		}
	}
	return f
}

// begin starts a router process in a place of the fleet.
func (f *fleet) begin(place int) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	f.mu.Lock()
	f.started++
	number := f.started
	f.mu.Unlock()
	log, err := os.Create(filepath.Join(f.s.Dir, fmt.Sprintf("router-%d.log", number)))
	if err != nil {
		return err
	}
	defer log.Close() // the process has its own
	m := &member{cmd: exec.Command(self, runRouter, f.s.Dir), jobs: make(map[int]*job), gone: make(chan struct{})}
	m.cmd.Env = append(os.Environ(), "TMPDIR="+f.s.temp())
	m.cmd.Stderr = log
	if m.in, err = m.cmd.StdinPipe(); err != nil {
		return err
	}
	out, err := m.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := m.cmd.Start(); err != nil {
		return err
	}
	if err := json.NewEncoder(m.in).Encode(f.s); err != nil {
		return err
	}
	f.mu.Lock()
	f.members[place] = m
	f.changed.Broadcast()
	f.mu.Unlock()
	go f.listen(place, m, out) // ends with the process
	go f.feed(m)               // likewise
	return nil
}

// feed gives jobs to a router while it has room and there are some.
func (f *fleet) feed(m *member) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for {
		for m.jobs != nil && !f.closing && (len(m.jobs) >= concurrency || len(f.waiting) == 0 || f.begun >= f.allowed && f.done[f.waiting[0].N].began.IsZero()) {
			f.changed.Wait()
		}
		if m.jobs == nil {
			return
		}
		if f.closing {
			m.in.Close()
			return
		}
		j := f.waiting[0]
		f.waiting = f.waiting[1:]
		m.jobs[j.N] = j
		if o := f.done[j.N]; o.began.IsZero() {
			o.began = time.Now()
			f.begun++
		}
		if err := json.NewEncoder(m.in).Encode(j); err != nil {
			// It is gone, and listen sees to its jobs.
			return
		}
	}
}

// listen takes the reports of a router, and in the end its jobs.
func (f *fleet) listen(place int, m *member, out io.Reader) {
	in := json.NewDecoder(out)
	ended := false
	for {
		var r report
		if err := in.Decode(&r); err != nil {
			break
		}
		f.mu.Lock()
		switch o := f.done[r.N]; {
		case r.Ended:
			ended = true
			if r.Wrong != "" {
				f.wrong = append(f.wrong, "a router at its end: "+r.Wrong)
			}
		default:
			o.report, o.ended = r, time.Now()
			delete(m.jobs, r.N)
			f.changed.Broadcast()
		}
		f.mu.Unlock()
	}
	err := m.cmd.Wait()
	f.mu.Lock()
	close(m.gone)
	for _, j := range m.jobs {
		f.waiting = append([]*job{j}, f.waiting...)
		f.done[j.N].again++
	}
	m.jobs = nil
	closing := f.closing
	if killed := err != nil && m.cmd.ProcessState.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL; !killed && (err != nil || !ended) {
		f.wrong = append(f.wrong, fmt.Sprintf("a router ended by itself: %v", err))
	}
	f.changed.Broadcast()
	f.mu.Unlock()
	if !closing {
		if err := f.begin(place); err != nil {
			f.t.Error(err)
			f.close() // nobody is to wait for a successor
		}
	}
}

// allow lets so many jobs begin.
func (f *fleet) allow(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.allowed = n
	f.changed.Broadcast()
}

// pending counts the jobs that have not ended.
func (f *fleet) pending() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, o := range f.done {
		if o.ended.IsZero() {
			n++
		}
	}
	return n
}

// pick returns the router in a place, or the successor of one that was killed
// there once that has begun. A fleet that closes has none.
func (f *fleet) pick(n uint64) *member {
	f.mu.Lock()
	defer f.mu.Unlock()
	for f.members[n%routers].jobs == nil && !f.closing {
		f.changed.Wait()
	}
	return f.members[n%routers]
}

// kill kills a router, and returns when it is gone.
func (f *fleet) kill(n uint64) error {
	m := f.pick(n)
	err := m.cmd.Process.Kill()
	<-m.gone
	return err
}

// pause stops a router for a while.
func (f *fleet) pause(n uint64) error {
	m := f.pick(n)
	if err := m.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	time.Sleep(pauseTime)
	return m.cmd.Process.Signal(syscall.SIGCONT)
}

// close tells the routers to end in good order. There will be no others.
func (f *fleet) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closing = true
	f.changed.Broadcast()
}

// end returns when all routers have ended, in good order.
func (f *fleet) end() {
	var members []*member
	for n := range uint64(routers) {
		members = append(members, f.pick(n))
	}
	f.close()
	for _, m := range members {
		select {
		case <-m.gone:
		case <-time.After(time.Minute):
			f.t.Errorf("router %d does not end", m.cmd.Process.Pid)
			_ = m.cmd.Process.Kill()
			<-m.gone
		}
	}
}
