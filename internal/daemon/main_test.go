package daemon

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/plugin"
	"github.com/atom-router/atom-router/plugins/process"
	"github.com/atom-router/atom-router/router"
)

// What this test binary is beside the tests, by its first argument.
const (
	servePlugin = "serve-plugin"
	serveDaemon = "serve-daemon"
)

func TestMain(m *testing.M) {
	process.RunShim()
	if len(os.Args) > 1 && os.Args[1] == servePlugin {
		plugin.Serve(process.Plugin())
		return
	}
	if len(os.Args) > 2 && os.Args[1] == serveDaemon {
		daemonMain(os.Args[2])
		return
	}
	os.Exit(m.Run())
}

// daemonMain is a daemon in a process of its own, for tests that kill it.
func daemonMain(config string) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM)
	d, err := Start(context.Background(), options(config, hclog.NewNullLogger()))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("ready")
	<-signals
	if err := d.Stop(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func options(config string, log hclog.Logger) Options {
	self, err := os.Executable()
	if err != nil {
		panic(err)
	}
	return Options{ConfigPath: config, Router: router.Options{
		Logger: log, Builtin: map[string][]string{"process": {self, servePlugin}},
	}}
}

// site is a directory for one daemon: its config, socket and state.
type site struct {
	t   *testing.T
	dir string
}

func newSite(t *testing.T) *site {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "atd") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return &site{t, dir}
}

func (s *site) path(name string) string { return filepath.Join(s.dir, name) }

// config is the file's path, after it was written: the process engine as
// backend "host", and more.
func (s *site) config(more ...string) string {
	s.t.Helper()
	text := fmt.Sprintf(`backend "host" {
  plugin = "process"
  config {
    state_dir = %q
  }
}
`, s.path("state")) + strings.Join(more, "\n") + "\n"
	if !strings.Contains(text, "default {") {
		text += "default { backend = \"host\" }\n"
	}
	path := s.path("config.hcl")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
	return path
}

func (s *site) listen() string { return "listen \"unix\" {\n  path = \"s\"\n}" }

func (s *site) endpoint() router.Endpoint { return router.Endpoint{Address: "unix://" + s.path("s")} }

// start starts a daemon, ended with the test.
func (s *site) start(config string) *Daemon {
	s.t.Helper()
	d, err := Start(s.t.Context(), options(config, hclog.NewNullLogger()))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		if err := d.Stop(canceled()); err != nil {
			s.t.Error(err)
		}
	})
	return d
}

// canceled is for a Stop that does not wait.
func canceled() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

func (s *site) dial(e router.Endpoint) *router.Remote {
	s.t.Helper()
	r, err := router.Dial(s.t.Context(), e, router.Options{})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { r.Close() })
	return r
}

// sh creates a job of the shell, deleted with the test.
func sh(t *testing.T, e atom.Engine, script string) atom.Atom {
	t.Helper()
	a, err := e.Create(&atom.EngineCreateRequest{Image: "none", Command: []string{"sh", "-c", script}})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// within is a context for what ends soon on any machine.
func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}
