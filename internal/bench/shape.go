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
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/atom-router/atom-router/router"
)

// shape is a process that answers as Docker or Kubernetes does, and the real
// plugin for it. A real daemon takes hours to make as many jobs as are measured.
type shape struct {
	plugin string // docker or kube
	jobs   int
	dir    string
	at     string // its socket, or the kubeconfig for it
	aside  string // the socket at which it is told what no engine is told
	pid    int
	stop   func()
}

// startShape starts one with so many jobs. Its pods have finished.
func startShape(ctx context.Context, plugin string, jobs int) (*shape, error) {
	s, err := newShape(ctx, plugin, jobs)
	if err != nil {
		return nil, err
	}
	err = s.start(ctx)
	if err == nil && plugin == "kube" {
		err = s.finish()
	}
	if err != nil {
		s.end()
		return nil, err
	}
	return s, nil
}

// newShape is one that start starts.
func newShape(ctx context.Context, plugin string, jobs int) (*shape, error) {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return nil, err
	}
	s := &shape{plugin: plugin, jobs: jobs, dir: dir, at: filepath.Join(dir, "at"), aside: filepath.Join(dir, "aside"), stop: func() {}}
	if err := buildPlugin(ctx, plugin, dir); err != nil {
		s.end()
		return nil, err
	}
	return s, nil
}

// start starts the process, whose jobs run; one that there is ends. A new one
// holds no stacks and buffers of what was measured before, which would be
// missing from what it is seen to take.
func (s *shape) start(ctx context.Context) error {
	s.stop()
	server := exec.CommandContext(ctx, "/proc/self/exe", "child-"+s.plugin, s.at, s.aside, fmt.Sprint(s.jobs))
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
	s.stop = func() {
		ends.Close()
		_ = server.Wait() // however it ended
		os.Remove(s.at)   // which it leaves, and the next one can't listen there
		os.Remove(s.aside)
	}
	if _, err := io.ReadFull(ready, make([]byte, 1)); err != nil {
		return fmt.Errorf("starting the %s: %w", s.plugin, err)
	}
	return nil
}

func (s *shape) end() {
	s.stop()
	os.RemoveAll(s.dir)
}

// tell asks the process something that no engine is asked, and returns what is
// written there.
func (s *shape) tell(method, what string) (string, error) {
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", s.aside)
	}}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequest(method, "http://aside/"+what, nil)
	if err != nil {
		return "", err
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return string(text), err
}

func (s *shape) finish() error {
	_, err := s.tell(http.MethodPost, "end")
	return err
}

// tidy has it give memory back that it does not use.
func (s *shape) tidy() error {
	_, err := s.tell(http.MethodPost, "tidy")
	return err
}

// open is how many connections there are, the most that there were at a time,
// and how many waits there are.
func (s *shape) open() (connections, peak, waits int, err error) {
	text, err := s.tell(http.MethodGet, "open")
	if err == nil {
		_, err = fmt.Sscan(text, &connections, &peak, &waits)
	}
	return connections, peak, waits, err
}

// shaped is what such processes have in common: their jobs end all at once.
type shaped struct {
	mu                sync.Mutex
	ended             chan struct{} // closed when the jobs ended
	at                time.Time
	connections, peak int

	waits atomic.Int64
}

func newShaped() *shaped { return &shaped{ended: make(chan struct{})} }

func (s *shaped) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.at.IsZero() {
		s.at = time.Now()
		close(s.ended)
	}
}

// now is since when the jobs have ended, zero while they run, and what is
// closed when they do.
func (s *shaped) now() (time.Time, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.at, s.ended
}

// tally counts connections, as http.Server.ConnState. Whoever asked now and
// then how many there are would miss those that are short.
func (s *shaped) tally(_ net.Conn, state http.ConnState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch state {
	case http.StateNew:
		s.connections++
		s.peak = max(s.peak, s.connections)
	case http.StateClosed, http.StateHijacked:
		s.connections--
	}
}

func (s *shaped) tellOpen(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintln(w, s.connections, s.peak, s.waits.Load())
}

// serve serves at a socket what tell asks, and serves what serve does, until
// the parent ends.
func (s *shaped) serve(aside string, serve func() error) error {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /end", func(http.ResponseWriter, *http.Request) { s.end() })
	mux.HandleFunc("GET /open", s.tellOpen)
	mux.HandleFunc("POST /tidy", func(http.ResponseWriter, *http.Request) { debug.FreeOSMemory() })
	l, err := net.Listen("unix", aside)
	if err != nil {
		return err
	}
	go func() { // ends the process
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	failed := make(chan error, 2)
	go func() { failed <- http.Serve(l, mux) }() // ends with the process
	go func() { failed <- serve() }()            // likewise
	fmt.Print("+")
	return <-failed
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
