package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/atom-router/atom-router/internal/load"
	"github.com/atom-router/atom-router/router"
)

// served is a daemon of the real program over the process engine, and the
// directory with its config, socket and state.
type served struct {
	dir, binary, config string
	daemon              *exec.Cmd
}

func newServed(dir, binary string) (*served, error) {
	s := &served{dir: dir, binary: binary, config: filepath.Join(dir, "config.hcl")}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	return s, os.WriteFile(s.config, fmt.Appendf(nil, `
		backend "host" {
		  plugin = "process"
		  config {
		    state_dir = "state"
		  }
		}
		default { backend = "host" }
		listen "unix" { path = "s" }
	`), 0o600)
}

// start starts the daemon and returns when it serves.
func (s *served) start(ctx context.Context) error {
	s.daemon = exec.Command(s.binary, "serve", "-c", s.config, "--log-level", "error")
	s.daemon.Stderr = os.Stderr
	if err := s.daemon.Start(); err != nil {
		return err
	}
	r, err := s.dial(ctx)
	if err != nil {
		return errors.Join(err, s.end(syscall.SIGKILL))
	}
	return r.Close()
}

// dial connects to the daemon, for which it waits a while.
func (s *served) dial(ctx context.Context) (*router.Remote, error) {
	e := router.Endpoint{Address: "unix://" + filepath.Join(s.dir, "s")}
	for tries := 0; ; tries++ {
		r, err := router.Dial(ctx, e, router.Options{})
		if err == nil || tries == 3000 || !rest(ctx) {
			return r, err
		}
	}
}

// clients connects that many.
func (s *served) clients(ctx context.Context, n int) (all []load.Engine, stop func(), err error) {
	var opened []*router.Remote
	stop = func() {
		for _, r := range opened {
			r.Close()
		}
	}
	for range n {
		r, err := s.dial(ctx)
		if err != nil {
			stop()
			return nil, nil, err
		}
		all, opened = append(all, r), append(opened, r)
	}
	return all, stop, nil
}

// end ends the daemon by a signal.
func (s *served) end(how syscall.Signal) error {
	if s.daemon == nil {
		return nil
	}
	if err := s.daemon.Process.Signal(how); err != nil {
		return err
	}
	err := s.daemon.Wait()
	s.daemon = nil
	if how == syscall.SIGKILL {
		return nil // which it cannot end well by
	}
	return err
}

// rest waits for a moment, or returns false with ctx.
func rest(ctx context.Context) bool {
	select {
	case <-time.After(5 * time.Millisecond):
		return true
	case <-ctx.Done():
		return false
	}
}
