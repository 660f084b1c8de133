package realtest

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/internal/daemon"
)

// A port that another program has is one clear error, and no daemon.
func TestBusyPort(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	path := filepath.Join(t.TempDir(), "fleet.hcl")
	config := strings.Replace(fmt.Sprintf(fleetOf, t.TempDir()), "127.0.0.1:0", l.Addr().String(), 1)
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	d, err := daemon.Start(t.Context(), daemon.Options{ConfigPath: path})
	if want := "the metrics listener at " + l.Addr().String() + ": bind: address already in use"; err == nil || err.Error() != want {
		t.Errorf("%v; want %s", err, want)
	}
	if d != nil {
		t.Error("there is a daemon")
	}
	if _, err := os.Stat(filepath.Join(filepath.Dir(path), "engine.sock")); err == nil {
		t.Error("its socket is left")
	}
}

// The listener and the counts stay over a reload and end with the daemon; the
// atoms of owners that the reload brings are counted.
func TestReload(t *testing.T) {
	e := start(t)
	run(t, e, "x", "hello", nil)
	text, err := os.ReadFile(e.config)
	if err != nil {
		t.Fatal(err)
	}
	with := strings.Replace(string(text), "max_atoms = 50", "max_atoms = 60", 1) + `
access "all" {
  users = ["*"]
  owner = "another"
}
`
	if err := os.WriteFile(e.config, []byte(with), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := e.daemon.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Create(&atom.EngineCreateRequest{Image: "x", Command: []string{"/bin/true"}}); err != nil {
		t.Fatal(err)
	}
	after := scrape(t, e.url)
	expect(t, after, map[string]float64{
		`requests_total{backend="local",class="ok",operation="create"}`: 2,
		`backend_max_atoms{backend="local"}`:                            60,
	})
	total := 0.0
	for _, state := range []string{"created", "running", "stopped"} {
		total += after[`atoms{backend="local",state="`+state+`"}`]
	}
	if total != 2 {
		t.Errorf("%v atoms of two owners; want 2", total)
	}
	if err := e.daemon.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if resp, err := http.Get(e.url); err == nil {
		resp.Body.Close()
		t.Error("the metrics are there after the daemon's end")
	}
}

// Without a metrics block nobody listens.
func TestNoMetrics(t *testing.T) {
	path := filepath.Join(t.TempDir(), "fleet.hcl")
	_, rest, _ := strings.Cut(fmt.Sprintf(fleetOf, t.TempDir()), "metrics {\n  listen = \"127.0.0.1:0\"\n}\n")
	if err := os.WriteFile(path, []byte("listen \"unix\" {\n  path = \"engine.sock\"\n}\n"+rest), 0o600); err != nil {
		t.Fatal(err)
	}
	d, err := daemon.Start(t.Context(), daemon.Options{ConfigPath: path})
	if err != nil {
		t.Fatal(err)
	}
	if at := d.MetricsAddress(); at != "" {
		t.Errorf("metrics at %s", at)
	}
	if err := d.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
}
