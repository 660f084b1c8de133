//go:build linux || darwin

package shim

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/atom-router/atom-router/plugins/process/internal/state"
)

// shim is one run of it.
type shim struct {
	order Order
	id    string
	lock  *os.File
	ctl   *os.File
	log   *recorder
	pid   int

	commands chan state.Command
	signals  chan os.Signal
	ended    chan time.Time
}

// drainTime bounds how long what the job left behind is hunted down, and then
// how long its output is read on: a process may be beyond our reach, and a
// pipe's end may have been handed to a stranger.
const drainTime = 2 * time.Second

// run is the whole of it; it returns the exit code.
func run() int {
	closeInherited(4)
	syscall.CloseOnExec(3)
	reply := os.NewFile(3, "reply")
	s := &shim{commands: make(chan state.Command), signals: make(chan os.Signal, 4), ended: make(chan time.Time, 1)}
	// With a handler, the job starts with the default action also where our
	// own parents ignored the signal.
	signal.Notify(s.signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT)
	signal.Notify(make(chan os.Signal, 1), syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGTSTP, syscall.SIGTTIN, syscall.SIGTTOU, syscall.SIGPIPE)

	if err := s.readOrder(); err != nil {
		return 1 // whoever started us died halfway: nothing has begun
	}
	a := s.begin()
	_ = json.NewEncoder(reply).Encode(a) // it may be dead, and we are needed all the same
	reply.Close()
	if s.pid == 0 {
		return 0
	}
	s.attend()
	return 0
}

// readOrder takes the order from stdin, and lets go of that.
func (s *shim) readOrder() error {
	if err := json.NewDecoder(os.Stdin).Decode(&s.order); err != nil {
		return err
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		return err
	}
	defer null.Close()
	return dup2(int(null.Fd()), 0)
}

func (s *shim) path(name string) string { return s.order.Dir + "/" + name }

// begin takes the atom and starts its job.
func (s *shim) begin() Answer {
	if a, ok := s.takeLock(); !ok {
		return a
	}
	var m state.Meta
	if err := state.ReadJSON(s.path(state.MetaFile), &m); err != nil {
		return refuse(err)
	}
	if m.ID != s.order.ID {
		return Answer{Gone: true} // another incarnation, and another request perhaps
	}
	s.id = m.ID
	var err error
	// For reading and writing, so that there is always a writer and never an
	// end of file.
	if s.ctl, err = os.OpenFile(s.path(state.CtlFile), os.O_RDWR|syscall.O_NONBLOCK, 0); err != nil {
		return refuse(err)
	}
	if err := reserve(s.path(state.ReservedFile)); err != nil {
		return refuse(err)
	}
	// From here on the atom counts as begun.
	if s.log, err = newRecorder(s.path(state.LogFile)); err != nil {
		os.Remove(s.path(state.ReservedFile))
		if errors.Is(err, fs.ErrExist) {
			return Answer{Busy: true}
		}
		return refuse(err)
	}
	if err := s.startJob(); err != nil {
		if want := new(wantError); errors.As(err, &want) {
			// The machine could not, the job is not to blame.
			os.Remove(s.path(state.LogFile))
			os.Remove(s.path(state.ReservedFile))
			return refuse(want.err)
		}
		s.finish(state.Exit{NeverStarted: true, Message: err.Error(), Time: time.Now().UnixNano()})
	}
	return Answer{Begun: true}
}

func refuse(err error) Answer {
	a := Answer{Err: err.Error(), Gone: state.Gone(err)}
	errors.As(err, &a.Errno)
	return a
}

// takeLock takes the atom's lock for good. A reader holds it for microseconds
// at a time; a shim that holds it has made the log or is about to.
func (s *shim) takeLock() (Answer, bool) {
	f, err := os.OpenFile(s.path(state.LockFile), os.O_RDWR, 0)
	if err != nil {
		return refuse(err), false
	}
	for bound := time.Now().Add(2 * time.Second); ; {
		ok, err := state.Flock(f, syscall.LOCK_EX)
		if err != nil {
			return refuse(err), false
		}
		if ok {
			break
		}
		if _, err := os.Stat(s.path(state.LogFile)); err == nil || time.Now().After(bound) {
			return Answer{Busy: true}, false
		}
		time.Sleep(time.Millisecond)
	}
	if same, err := state.IsAt(f, s.path(state.LockFile)); !same {
		return Answer{Gone: err == nil || state.Gone(err)}, false
	}
	for _, name := range []string{state.LogFile, state.ExitFile} {
		if _, err := os.Stat(s.path(name)); err == nil {
			return Answer{Busy: true}, false
		}
	}
	s.lock = f
	return Answer{}, true
}

// reserve writes blanks, which JSON does not mind, where the exit will stand.
func reserve(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(strings.Repeat(" ", state.ReservedBytes))
	return errors.Join(err, f.Close())
}

// wantError is a start that failed for want of what the machine should have.
type wantError struct{ err error }

func (w *wantError) Error() string { return w.err.Error() }

// startJob starts the process. Its error, unless it is a *wantError, is what
// is wrong with the job.
func (s *shim) startJob() error {
	work := s.order.Work
	if work == "" {
		work = "/"
	}
	if info, err := os.Stat(work); err != nil {
		return errors.New("workdir: " + err.Error())
	} else if !info.IsDir() {
		return errors.New("workdir: " + work + " is not a directory")
	}
	program, err := find(s.order.Args[0], s.order.Env)
	if err != nil {
		return err
	}
	outR, outW, err := os.Pipe()
	if err != nil {
		return &wantError{err}
	}
	errR, errW, err := os.Pipe()
	if err != nil {
		return &wantError{err}
	}
	defer outW.Close()
	defer errW.Close()
	adoptOrphans()
	// Before the job writes, so that its first line too has its own time. A
	// job that does not start closes the pipes unwritten.
	s.log.follow(outR, errR)
	pid, err := syscall.ForkExec(program, s.order.Args, &syscall.ProcAttr{
		Dir: work, Env: s.order.Env,
		Files: []uintptr{0, outW.Fd(), errW.Fd()},
		Sys:   jobAttr(),
	})
	if err != nil {
		if errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.ENOMEM) {
			return &wantError{err}
		}
		return execError(s.order.Args[0], err)
	}
	s.pid = pid
	// Without this record the atom would look as if it had never got so
	// far, so it too has to be there before anyone hears of the job.
	st := state.Started{ID: s.id, PID: pid, Time: time.Now().UnixNano()}
	st.Ticks, st.Boot = identity(pid)
	if err := state.WriteJSON(s.order.Dir, state.StartedFile, st); err != nil {
		killGroup(pid, syscall.SIGKILL)
		reapAll(pid, drainTime)
		s.log.drain(drainTime)
		s.pid = 0
		return &wantError{err}
	}
	return nil
}

// attend stays with the running job until it has ended and all is recorded.
func (s *shim) attend() {
	go s.readCommands()                     // ends with us
	go func() { s.ended <- await(s.pid) }() // ends with the job
	var kill <-chan time.Time
	var deadline time.Time
	for {
		select {
		case c := <-s.commands:
			if c.ID != s.id {
				continue
			}
			first := deadline.IsZero()
			if first {
				_ = state.Touch(s.path(state.StoppingFile))
			}
			if c.Kill {
				deadline = time.Now()
				killGroup(s.pid, syscall.SIGKILL)
				continue
			}
			if first {
				killGroup(s.pid, syscall.SIGTERM)
			}
			if at := time.Now().Add(c.Grace); first || at.Before(deadline) {
				deadline, kill = at, time.After(c.Grace)
			}
		case <-kill:
			killGroup(s.pid, syscall.SIGKILL)
		case sig := <-s.signals:
			if sig == syscall.SIGTERM && deadline.IsZero() {
				// The machine goes down, or an admin means the atom.
				go func() { s.commands <- state.Command{ID: s.id, Grace: s.order.Grace} }()
			}
		case at := <-s.ended:
			e := exitOf(reapAll(s.pid, drainTime))
			e.Time = at.UnixNano()
			s.log.drain(drainTime)
			s.finish(e)
			return
		}
	}
}

// exitOf is an exit with the code that the other engines report too.
func exitOf(status syscall.WaitStatus) state.Exit {
	code := status.ExitStatus()
	if !status.Signaled() {
		return state.Exit{Code: &code}
	}
	code = 128 + int(status.Signal())
	return state.Exit{Code: &code, Message: fmt.Sprintf("ended by signal %d (%v)", status.Signal(), status.Signal())}
}

func (s *shim) readCommands() {
	lines := bufio.NewScanner(s.ctl)
	for lines.Scan() {
		if c, ok := state.ParseCommand(lines.Text()); ok {
			s.commands <- c
		}
	}
}

// finish records the end, last of all, and lets go of the atom.
func (s *shim) finish(e state.Exit) {
	size, last, logErr := s.log.close()
	e.ID, e.LogBytes = s.id, size
	// Its last words may have been read a moment after its death was seen.
	e.Time = max(e.Time, last)
	if logErr != nil {
		e.LogError = logErr.Error()
	}
	text, err := json.Marshal(e)
	for short := 1024; err == nil && len(text) > state.ReservedBytes; short /= 2 {
		e.Message = e.Message[:min(short, len(e.Message))]
		e.LogError = e.LogError[:min(short, len(e.LogError))]
		text, err = json.Marshal(e)
	}
	if f, err := os.OpenFile(s.path(state.ReservedFile), os.O_WRONLY, 0); err == nil {
		_, err = f.Write(text)
		if errors.Join(err, f.Close()) == nil {
			os.Rename(s.path(state.ReservedFile), s.path(state.ExitFile))
		}
	}
	s.lock.Close()
}
