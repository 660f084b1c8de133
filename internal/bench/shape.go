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
	dir    string
	at     string // its socket, or the kubeconfig for it
	aside  string // the socket at which it is told what no engine is told
	pid    int
	end    func()
}

// startShape starts one with so many jobs.
func startShape(ctx context.Context, plugin string, jobs int) (*shape, error) {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return nil, err
	}
	s := &shape{plugin: plugin, dir: dir, at: filepath.Join(dir, "at"), aside: filepath.Join(dir, "aside"), end: func() { os.RemoveAll(dir) }}
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
	server := exec.CommandContext(ctx, "/proc/self/exe", "child-"+s.plugin, s.at, s.aside, fmt.Sprint(jobs))
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

// begin has the jobs run again, when nobody is connected any more.
func (s *shape) begin() error {
	err := until("closing the last round's connections", func() (bool, error) {
		connections, _, err := s.open()
		return connections == 0, err
	})
	if err == nil {
		_, err = s.tell(http.MethodPost, "begin")
	}
	return err
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

// open is how many connections and waits there are.
func (s *shape) open() (connections, waits int, err error) {
	text, err := s.tell(http.MethodGet, "open")
	if err == nil {
		_, err = fmt.Sscan(text, &connections, &waits)
	}
	return connections, waits, err
}

// shaped is what such processes have in common: their jobs end all at once,
// and begin again.
type shaped struct {
	mu    sync.Mutex
	ended chan struct{} // closed when the jobs ended
	at    time.Time

	connections, waits atomic.Int64
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

func (s *shaped) begin() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.at, s.ended = time.Time{}, make(chan struct{})
}

// now is since when the jobs have ended, zero while they run, and what is
// closed when they do.
func (s *shaped) now() (time.Time, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.at, s.ended
}

// tally counts connections, as http.Server.ConnState.
func (s *shaped) tally(_ net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		s.connections.Add(1)
	case http.StateClosed, http.StateHijacked:
		s.connections.Add(-1)
	}
}

// serve serves at a socket what tell asks, and serves what serve does, until
// the parent ends.
func (s *shaped) serve(aside string, serve func() error) error {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /end", func(http.ResponseWriter, *http.Request) { s.end() })
	mux.HandleFunc("POST /begin", func(http.ResponseWriter, *http.Request) { s.begin() })
	mux.HandleFunc("GET /open", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, s.connections.Load(), s.waits.Load()) })
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
