package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/atom-router/atom-router/router"
)

// shape is a process that answers as Docker or Kubernetes does, and the real
// plugin for it. A real daemon takes hours to make as many jobs as are measured.
type shape struct {
	plugin string // docker or kube
	dir    string
	at     string // its socket, or the kubeconfig for it
	pid    int
	end    func()
}

// startShape starts one with so many jobs.
func startShape(ctx context.Context, plugin string, jobs int) (*shape, error) {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return nil, err
	}
	s := &shape{plugin: plugin, dir: dir, at: filepath.Join(dir, "at"), end: func() { os.RemoveAll(dir) }}
	if err := s.start(ctx, jobs); err != nil {
		s.end()
		return nil, err
	}
	return s, nil
}

func (s *shape) start(ctx context.Context, jobs int) error {
	if err := buildPlugin(ctx, s.plugin, s.dir); err != nil {
		return err
	}
	server := exec.CommandContext(ctx, "/proc/self/exe", "child-"+s.plugin, s.at, fmt.Sprint(jobs))
	server.Stderr = os.Stderr
	ends, err := server.StdinPipe() // the child ends with us
	if err != nil {
		return err
	}
	ready, err := server.StdoutPipe()
	if err != nil {
		return err
	}
	if err := server.Start(); err != nil {
		return err
	}
	s.pid = server.Process.Pid
	s.end = func() {
		ends.Close()
		_ = server.Wait() // however it ended
		os.RemoveAll(s.dir)
	}
	if _, err := io.ReadFull(ready, make([]byte, 1)); err != nil {
		return fmt.Errorf("starting the %s: %w", s.plugin, err)
	}
	return nil
}

// serveShape serves until the parent ends.
func serveShape(l net.Listener, h http.Handler) error {
	go func() { // ends the process
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	fmt.Print("+")
	return http.Serve(l, h)
}

// router is a new one with a new plugin, which has been started. Its backend
// is called b.
func (s *shape) router(ctx context.Context) (r *router.Engine, plugin int, err error) {
	settings := fmt.Sprintf("host = %q", "unix://"+s.at)
	if s.plugin == "kube" {
		settings = fmt.Sprintf("kubeconfig = %q\nnamespace = %q", s.at, kubeNamespace)
	}
	if r, err = routerOn(ctx, s.dir, s.plugin, settings); err != nil {
		return nil, 0, err
	}
	if status, err := r.ProbeBackends(ctx); err != nil || status[0].State != router.Ready {
		r.Close()
		return nil, 0, fmt.Errorf("the backend is %s: %s, %w", status[0].State, status[0].LastError, err)
	}
	plugin, err = childNamed(filepath.Join(s.dir, "atom-plugin-"+s.plugin))
	if err != nil {
		r.Close()
	}
	return r, plugin, err
}
