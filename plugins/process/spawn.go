//go:build linux || darwin

package process

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"syscall"
	"time"

	"github.com/containerd/errdefs"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/plugins/process/internal/shim"
)

// RunShim is the first thing that main of a program which embeds this engine
// calls. It returns at once, unless the program was started by the engine to
// be the parent of a job: then it does that and never returns. (Most programs
// never get there as a shim: package shim sees to it sooner.)
func RunShim() { shim.Run() }

// startTimeout bounds how long a shim may take to say that its job runs.
const startTimeout = 30 * time.Second

// ownProgram is the command that runs this very executable.
func ownProgram() ([]string, error) {
	path, err := os.Executable()
	if err != nil {
		return nil, atom.Errorf(errdefs.ErrUnavailable, "finding the executable to run as a shim: %w (set shim in the config)", err)
	}
	return []string{path}, nil
}

// spawn starts a shim for v and hears it out. An error means that nothing was
// begun, unless it is the context's, or a timeout: then nobody knows.
func (e *Engine) spawn(ctx context.Context, v *view, o shim.Order) (shim.Answer, error) {
	select {
	case e.creating <- struct{}{}:
		defer func() { <-e.creating }()
	case <-ctx.Done():
		return shim.Answer{}, ctx.Err()
	case <-e.closed:
		return shim.Answer{}, closedError()
	}
	if ctx.Err() != nil {
		// Its turn may have come when another Create has long made the atom,
		// and somebody deleted it.
		return shim.Answer{}, ctx.Err()
	}
	text, err := json.Marshal(o)
	if err != nil {
		return shim.Answer{}, atom.Errorf(errdefs.ErrInternal, "encoding the shim's order: %w", err)
	}
	orders, answers, pid, err := e.startShim(v)
	if err != nil {
		return shim.Answer{}, failure("starting the shim "+e.shim[0], err)
	}
	defer orders.Close()
	defer answers.Close()
	deadline := time.Now().Add(startTimeout)
	orders.SetWriteDeadline(deadline)
	answers.SetReadDeadline(deadline)
	stop := context.AfterFunc(ctx, func() {
		orders.SetWriteDeadline(time.Unix(1, 0))
		answers.SetReadDeadline(time.Unix(1, 0))
	})
	defer stop()

	// A shim that ends early breaks the pipe; its answer says more.
	_, writeErr := orders.Write(text)
	orders.Close()
	var a shim.Answer
	if err := json.NewDecoder(answers).Decode(&a); err != nil {
		// A shim that has not begun cannot any more once the directory is
		// gone. One that has stays with its job: that is not to be lost
		// because nobody listens, and is found under its key.
		if removed, _ := e.store.remove(v, true); removed {
			e.reaper.kill(pid)
		}
		switch {
		case ctx.Err() != nil:
			return shim.Answer{}, ctx.Err()
		case errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(writeErr, os.ErrDeadlineExceeded):
			return shim.Answer{}, atom.Errorf(errdefs.ErrUnavailable, "the shim did not start the job within %v", startTimeout)
		}
		return shim.Answer{}, atom.Errorf(errdefs.ErrUnavailable,
			"the shim %s ended without an answer (a program that embeds the process engine must call process.RunShim first in main)", e.shim[0])
	}
	return a, nil
}

// startShim starts the process with pipes of which it keeps nothing after its
// answer. We hold neither a thread nor a descriptor for it while it lives.
func (e *Engine) startShim(v *view) (orders, answers *os.File, pid int, err error) {
	program, err := e.shimProgram()
	if err != nil {
		return nil, nil, 0, err
	}
	var opened []*os.File
	defer func() {
		for _, f := range opened {
			f.Close()
		}
	}()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, nil, 0, err
	}
	opened = append(opened, null)
	stdin, orders, err := os.Pipe()
	if err != nil {
		return nil, nil, 0, err
	}
	opened = append(opened, stdin)
	answers, reply, err := os.Pipe()
	if err != nil {
		orders.Close()
		return nil, nil, 0, err
	}
	opened = append(opened, reply)

	args := append(append([]string{}, e.shim...), shim.Arg, v.dir)
	pid, err = e.reaper.start(program, args, &syscall.ProcAttr{
		Dir: "/",
		Env: shimEnviron(),
		// Fd() would make our ends blocking, so it is asked of theirs only.
		Files: []uintptr{stdin.Fd(), null.Fd(), null.Fd(), reply.Fd()},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		orders.Close()
		answers.Close()
		return nil, nil, 0, err
	}
	return orders, answers, pid, nil
}

// shimProgram is the file to execute. On Linux our own executable is named by
// /proc/self/exe, which stays the same file when the one at its path is
// replaced by an upgrade.
func (e *Engine) shimProgram() (string, error) {
	if own, err := os.Executable(); err == nil && e.shim[0] == own && runtime.GOOS == "linux" {
		return "/proc/self/exe", nil
	}
	return exec.LookPath(e.shim[0])
}

// shimEnviron is all that a shim gets of our environment. Two processors are
// enough: one copies bytes while the other waits for the disk.
func shimEnviron() []string {
	env := []string{shim.Env + "=1", "GOMAXPROCS=2", "GOGC=50"}
	for _, name := range []string{"PATH", "HOME", "TMPDIR"} {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	return env
}

// environ is the job's.
func environ(spec map[string]string) []string {
	env := make([]string, 0, len(spec)+2)
	for name, otherwise := range map[string]string{"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": ""} {
		if _, ok := spec[name]; ok {
			continue
		}
		if value := os.Getenv(name); value != "" {
			env = append(env, name+"="+value)
		} else if otherwise != "" {
			env = append(env, name+"="+otherwise)
		}
	}
	for name, value := range spec {
		env = append(env, name+"="+value)
	}
	slices.Sort(env)
	return env
}
