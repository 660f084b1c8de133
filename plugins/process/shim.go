//go:build linux || darwin

package process

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// RunShim is the first thing that main of a program which embeds this engine
// calls. It returns at once, unless the program was started by the engine to
// be the parent of a job: then it does that and never returns.
func RunShim() {
	if len(os.Args) < 3 || os.Args[len(os.Args)-2] != shimArg || os.Getenv(shimEnv) == "" {
		return
	}
	// The job is killed when the thread that started it ends (see
	// startJob), so that one has to live as long as we do.
	runtime.LockOSThread()
	os.Exit(shimMain())
}

// shim is one run of it.
type shim struct {
	order order
	id    string
	lock  *os.File
	ctl   *os.File
	log   *recorder
	pid   int

	commands chan command
	signals  chan os.Signal
	ended    chan time.Time
}

// drainTime bounds how long what the job left behind is hunted down, and then
// how long its output is read on: a process may be beyond our reach, and a
// pipe's end may have been handed to a stranger.
const drainTime = 2 * time.Second

func shimMain() int {
	closeInherited(4)
	syscall.CloseOnExec(3)
	reply := os.NewFile(3, "reply")
	s := &shim{commands: make(chan command), signals: make(chan os.Signal, 4), ended: make(chan time.Time, 1)}
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

func (s *shim) path(name string) string { return filepath.Join(s.order.Dir, name) }

// begin takes the atom and starts its job.
func (s *shim) begin() answer {
	if a, ok := s.takeLock(); !ok {
		return a
	}
	var m meta
	if err := readJSON(s.path(metaFile), &m); err != nil {
		return refuse(err)
	}
	if m.ID != s.order.ID {
		return answer{Gone: true} // another incarnation, and another request perhaps
	}
	s.id = m.ID
	var err error
	// For reading and writing, so that there is always a writer and never an
	// end of file.
	if s.ctl, err = os.OpenFile(s.path(ctlFile), os.O_RDWR|syscall.O_NONBLOCK, 0); err != nil {
		return refuse(err)
	}
	if err := reserve(s.path(reservedFile)); err != nil {
		return refuse(err)
	}
	// From here on the atom counts as begun.
	if s.log, err = newRecorder(s.path(logFile)); err != nil {
		os.Remove(s.path(reservedFile))
		if errors.Is(err, fs.ErrExist) {
			return answer{Busy: true}
		}
		return refuse(err)
	}
	if err := s.startJob(); err != nil {
		if want := new(wantError); errors.As(err, &want) {
			// The machine could not, the job is not to blame.
			os.Remove(s.path(logFile))
			os.Remove(s.path(reservedFile))
			return refuse(want.err)
		}
		s.finish(exit{NeverStarted: true, Message: err.Error(), Time: time.Now().UnixNano()})
	}
	return answer{Begun: true}
}

func refuse(err error) answer {
	a := answer{Err: err.Error(), Gone: gone(err)}
	errors.As(err, &a.Errno)
	return a
}

// takeLock takes the atom's lock for good. A reader holds it for microseconds
// at a time; a shim that holds it has made the log or is about to.
func (s *shim) takeLock() (answer, bool) {
	f, err := os.OpenFile(s.path(lockFile), os.O_RDWR, 0)
	if err != nil {
		return refuse(err), false
	}
	for bound := time.Now().Add(2 * time.Second); ; {
		ok, err := flock(f, syscall.LOCK_EX)
		if err != nil {
			return refuse(err), false
		}
		if ok {
			break
		}
		if _, err := os.Stat(s.path(logFile)); err == nil || time.Now().After(bound) {
			return answer{Busy: true}, false
		}
		time.Sleep(time.Millisecond)
	}
	if same, err := isAt(f, s.path(lockFile)); !same {
		return answer{Gone: err == nil || gone(err)}, false
	}
	for _, name := range []string{logFile, exitFile} {
		if _, err := os.Stat(s.path(name)); err == nil {
			return answer{Busy: true}, false
		}
	}
	s.lock = f
	return answer{}, true
}

// reserve writes blanks, which JSON does not mind, where the exit will stand.
func reserve(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(strings.Repeat(" ", reservedBytes))
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
	// LookPath asks the environment, so it gets the job's.
	os.Setenv("PATH", pathOf(s.order.Env))
	program := s.order.Args[0]
	if !strings.Contains(program, "/") {
		found, err := exec.LookPath(program)
		if err != nil {
			return err
		}
		program = found
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
		return &exec.Error{Name: s.order.Args[0], Err: err}
	}
	s.pid = pid
	// Without this record the atom would look as if it had never got so
	// far, so it too has to be there before anyone hears of the job.
	st := started{ID: s.id, PID: pid, Time: time.Now().UnixNano()}
	st.Ticks, st.Boot = identity(pid)
	if err := writeJSON(s.order.Dir, startedFile, st); err != nil {
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
				_ = touch(s.path(stoppingFile))
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
				go func() { s.commands <- command{ID: s.id, Grace: s.order.Grace} }()
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
func exitOf(status syscall.WaitStatus) exit {
	code := status.ExitStatus()
	if !status.Signaled() {
		return exit{Code: &code}
	}
	code = 128 + int(status.Signal())
	return exit{Code: &code, Message: fmt.Sprintf("ended by signal %d (%v)", status.Signal(), status.Signal())}
}

func (s *shim) readCommands() {
	lines := bufio.NewScanner(s.ctl)
	for lines.Scan() {
		if c, ok := parseCommand(lines.Text()); ok {
			s.commands <- c
		}
	}
}

// finish records the end, last of all, and lets go of the atom.
func (s *shim) finish(e exit) {
	size, last, logErr := s.log.close()
	e.ID, e.LogBytes = s.id, size
	// Its last words may have been read a moment after its death was seen.
	e.Time = max(e.Time, last)
	if logErr != nil {
		e.LogError = logErr.Error()
	}
	text, err := json.Marshal(e)
	for short := 1024; err == nil && len(text) > reservedBytes; short /= 2 {
		e.Message = e.Message[:min(short, len(e.Message))]
		e.LogError = e.LogError[:min(short, len(e.LogError))]
		text, err = json.Marshal(e)
	}
	if f, err := os.OpenFile(s.path(reservedFile), os.O_WRONLY, 0); err == nil {
		_, err = f.Write(text)
		if errors.Join(err, f.Close()) == nil {
			os.Rename(s.path(reservedFile), s.path(exitFile))
		}
	}
	s.lock.Close()
}
