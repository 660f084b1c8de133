//go:build linux

package conformance

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/atom-router/atom-router/atom/atomtest"
	"github.com/atom-router/atom-router/internal/daemon"
	"github.com/atom-router/atom-router/router"
)

// TestDaemons is every promise over three daemons: a client, two routers that
// each have the next router for a backend, and the plugin behind the last.
func TestDaemons(t *testing.T) {
	program, err := atomtest.BuildProbe(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	atomtest.Run(t, atomtest.Harness{New: func(t *testing.T) *atomtest.Env {
		near := serve(t, fmt.Sprintf("backend \"host\" {\n  plugin = \"process\"\n  config {\n    state_dir = %q\n  }\n}\ndefault { backend = \"host\" }\n", t.TempDir()))
		far := serve(t, fmt.Sprintf("backend \"edge\" {\n  address = %q\n}\ndefault { backend = \"edge\" }\n", near))
		top := serve(t, fmt.Sprintf("backend \"region\" {\n  address = %q\n}\ndefault { backend = \"region\" }\n", far))
		r, err := router.Dial(t.Context(), router.Endpoint{Address: top}, router.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { r.Close() })
		can, err := r.Probe(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return &atomtest.Env{Engine: r, Capabilities: can, Program: program, Scratch: t.TempDir()}
	}})
}

// serve starts a daemon, ended with the test, and returns its address.
func serve(t *testing.T, config string) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("/tmp", "atd") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	address := "unix://" + filepath.Join(dir, "s")
	path := filepath.Join(dir, "config.hcl")
	config += fmt.Sprintf("listen \"unix\" {\n  path = %q\n}\ndrain_timeout = \"0s\"\n", filepath.Join(dir, "s"))
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	d, err := daemon.Start(t.Context(), daemon.Options{ConfigPath: path, Router: router.Options{
		NoJanitor: true, Builtin: map[string][]string{"process": {self, servePlugin, "process"}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return address
}
