package realtest

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/atom/container"
	"github.com/atom-router/atom-router/internal/daemon"
	"github.com/atom-router/atom-router/internal/telemetry"
	"github.com/atom-router/atom-router/router"
)

// fleetOf is a config whose backend "gone" has a plugin that does not exist,
// and whose "pinned" another than the config wants.
const fleetOf = `
listen "unix" {
  path = "engine.sock"
}
metrics {
  listen = "127.0.0.1:0"
}
plugin_dir = "."
backend "local" {
  plugin    = "process"
  max_atoms = 50
  config {
    state_dir = %q
  }
}
backend "gone" {
  plugin = "none-such"
}
backend "pinned" {
  plugin = "process"
  sha256 = "0000000000000000000000000000000000000000000000000000000000000000"
}
rule "no" {
  match {
    image = "bad"
  }
  reject = "bad"
}
rule "fall" {
  match {
    image = "fall"
  }
  to {
    backends = { gone = 1 }
  }
  to {
    backends = { local = 1 }
  }
}
rule "lost" {
  match {
    image = "lost"
  }
  backend = "gone"
}
default {
  backend = "local"
}
`

// fleet is a daemon of this process, and a client of it.
type fleet struct {
	*router.Remote
	daemon *daemon.Daemon
	config string // its path
	url    string // of its metrics
}

// start starts a daemon whose process engine is this binary.
func start(t *testing.T) *fleet {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "fleet.hcl")
	if err := os.WriteFile(path, fmt.Appendf(nil, fleetOf, filepath.Join(dir, "state")), 0o600); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	d, err := daemon.Start(t.Context(), daemon.Options{
		ConfigPath: path, Version: "v1.2.3",
		Router: router.Options{Builtin: map[string][]string{"process": {self, servePlugin}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	r, err := router.Dial(t.Context(), router.Endpoint{Address: d.Addresses()[0]}, router.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return &fleet{Remote: r, daemon: d, config: path, url: "http://" + d.MetricsAddress() + "/metrics"}
}

// run runs a job that prints text, reads its output, and deletes it.
func run(t *testing.T, e atom.Engine, image, text string, env map[string]string) string {
	t.Helper()
	a, err := e.Create(&atom.EngineCreateRequest{
		Image: image, Command: []string{"/bin/echo", "-n", text}, Spec: container.Spec{Env: env}, Context: t.Context(),
	})
	if err != nil {
		t.Fatal(err)
	}
	logs, err := e.Logs(&atom.EngineLogsRequest{ID: a.ID()})
	if err != nil {
		t.Fatal(err)
	}
	defer logs.Close()
	if got, err := io.ReadAll(logs); err != nil || string(got) != text {
		t.Errorf("output %q, %v", got, err)
	}
	if _, err := e.Wait(&atom.EngineWaitRequest{ID: a.ID()}); err != nil {
		t.Fatal(err)
	}
	return a.ID()
}

// families are what a daemon tells, by name.
func families(t *testing.T, url string) map[string]*dto.MetricFamily {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	defer http.DefaultClient.CloseIdleConnections()
	if resp.StatusCode != http.StatusOK {
		t.Fatal(resp.Status)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	named, err := parser.TextToMetricFamilies(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return named
}

// scrape returns the value of each series that is the router's, as
// "name{label="value",…}" without the prefix.
func scrape(t *testing.T, url string) map[string]float64 {
	t.Helper()
	series := make(map[string]float64)
	for name, f := range families(t, url) {
		name, ours := strings.CutPrefix(name, telemetry.Namespace+"_")
		if !ours {
			continue
		}
		for _, m := range f.Metric {
			var labels []string
			for _, l := range m.Label {
				labels = append(labels, fmt.Sprintf("%s=%q", l.GetName(), l.GetValue()))
			}
			key := name + "{" + strings.Join(labels, ",") + "}"
			switch {
			case m.Counter != nil:
				series[key] = m.Counter.GetValue()
			case m.Gauge != nil:
				series[key] = m.Gauge.GetValue()
			case m.Histogram != nil:
				series[key+" count"] = float64(m.Histogram.GetSampleCount())
				series[key+" sum"] = m.Histogram.GetSampleSum()
			}
		}
	}
	return series
}

func expect(t *testing.T, got map[string]float64, want map[string]float64) {
	t.Helper()
	for key, v := range want {
		if g, ok := got[key]; !ok || g != v {
			t.Errorf("%s is %v (there: %v), want %v", key, g, ok, v)
		}
	}
}

// traffic makes everything that there is to count happen once at least.
func traffic(t *testing.T, e *fleet) {
	t.Helper()
	for range 2 {
		id := run(t, e, "x", "twelve bytes", nil)
		if err := e.Delete(&atom.EngineDeleteRequest{ID: id}); err != nil {
			t.Fatal(err)
		}
	}
	run(t, e, "fall", "five.", nil) // and is kept
	for _, image := range []string{"bad", "lost", ""} {
		if _, err := e.Create(&atom.EngineCreateRequest{Image: image, Command: []string{"/bin/true"}}); err == nil {
			t.Errorf("Create of image %q succeeded", image)
		}
	}
	for _, id := range []string{"local:none", "pinned:x"} {
		if _, err := e.Get(&atom.EngineGetRequest{ID: id}); err == nil {
			t.Errorf("Get of %s succeeded", id)
		}
	}
}

func TestMetrics(t *testing.T) {
	e := start(t)
	traffic(t, e)
	after := scrape(t, e.url)
	expect(t, after, map[string]float64{
		`requests_total{backend="local",class="ok",operation="create"}`:             3,
		`requests_total{backend="gone",class="unavailable",operation="create"}`:     1,
		`requests_total{backend="",class="permission_denied",operation="create"}`:   1,
		`requests_total{backend="local",class="ok",operation="delete"}`:             2,
		`requests_total{backend="local",class="ok",operation="wait"}`:               3,
		`requests_total{backend="local",class="ok",operation="logs"}`:               3,
		`requests_total{backend="local",class="not_found",operation="get"}`:         1,
		`request_duration_seconds{backend="local",operation="create"} count`:        3,
		`open_requests{backend="local",operation="wait"}`:                           0,
		`decisions_total{outcome="routed",rule="default"}`:                          2,
		`decisions_total{outcome="routed",rule="fall"}`:                             1,
		`decisions_total{outcome="routed",rule="lost"}`:                             1,
		`decisions_total{outcome="rejected",rule="no"}`:                             1,
		`fallbacks_total{backend="gone",cause="unavailable",rule="fall"}`:           1,
		`log_bytes_total{backend="local"}`:                                          12 + 12 + 5,
		`backend_state{backend="local",state="ready"}`:                              1,
		`backend_state{backend="gone",state="backing_off"}`:                         1,
		`backend_state{backend="pinned",state="failed"}`:                            1,
		`requests_total{backend="pinned",class="invalid_argument",operation="get"}`: 1,
		`build_info{version="v1.2.3"}`:                                              1,
		`backend_restarts_total{backend="local"}`:                                   0,
		`backend_max_atoms{backend="local"}`:                                        50,
		`backend_drain{backend="local"}`:                                            0,
		`backend_info{backend="gone",plugin="none-such",version=""}`:                1,
		`backend_state{backend="local",state="failed"}`:                             0,
	})
	if after[`request_duration_seconds{backend="local",operation="create"} sum`] <= 0 {
		t.Error("three creates took no time")
	}
	resp, err := http.Get(e.url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	defer http.DefaultClient.CloseIdleConnections()
	problems, err := promlint.New(resp.Body).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if strings.HasPrefix(p.Metric, telemetry.Namespace) {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
}

// The open Waits and Logs are those that are open.
func TestOpenStreams(t *testing.T) {
	e := start(t)
	a, err := e.Create(&atom.EngineCreateRequest{Image: "x", Command: []string{"/bin/sh", "-c", "echo on; exec sleep 1000"}})
	if err != nil {
		t.Fatal(err)
	}
	logs, err := e.Logs(&atom.EngineLogsRequest{ID: a.ID()})
	if err != nil {
		t.Fatal(err)
	}
	waited := make(chan error, 1)
	go func() { // ends with the Stop
		_, err := e.Wait(&atom.EngineWaitRequest{ID: a.ID()})
		waited <- err
	}()
	if _, err := io.ReadFull(logs, make([]byte, 3)); err != nil {
		t.Fatal(err)
	}
	until(t, func() bool {
		return scrape(t, e.url)[`open_requests{backend="local",operation="wait"}`] == 1
	})
	expect(t, scrape(t, e.url), map[string]float64{
		`open_requests{backend="local",operation="logs"}`: 1,
		`log_bytes_total{backend="local"}`:                3,
		`atoms{backend="local",state="running"}`:          1,
		`atoms{backend="local",state="stopped"}`:          0,
	})
	logs.Close()
	if err := e.Stop(&atom.EngineStopRequest{ID: a.ID(), Force: true}); err != nil {
		t.Fatal(err)
	}
	if err := <-waited; err != nil {
		t.Fatal(err)
	}
	var after map[string]float64
	until(t, func() bool { // Close waits for nobody
		after = scrape(t, e.url)
		return after[`open_requests{backend="local",operation="logs"}`] == 0
	})
	expect(t, after, map[string]float64{
		`open_requests{backend="local",operation="logs"}`: 0,
		`open_requests{backend="local",operation="wait"}`: 0,
	})
	for key := range after {
		if strings.Contains(key, `operation="list"`) {
			t.Errorf("%s: the metrics' own List is counted", key)
		}
	}
}

// until waits for what holds soon.
func until(t *testing.T, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it does not come to hold")
		}
	}
}
