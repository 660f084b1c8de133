package telemetry

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/atom/container"
	"github.com/atom-router/atom-router/internal/tracing"
	"github.com/atom-router/atom-router/router"
	"github.com/atom-router/atom-router/router/config"
)

// fleetOf is a config whose backend "gone" has a plugin that does not exist,
// and whose backend "idle" nobody uses.
const fleetOf = `
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
backend "idle" {
  plugin = "process"
  drain  = true
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

// start returns a router of a fleet whose process engine is this binary.
func start(t *testing.T, m *Metrics, tracer *tracing.Tracer) *router.Engine {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "fleet.hcl")
	if err := os.WriteFile(path, fmt.Appendf(nil, fleetOf, filepath.Join(dir, "state")), 0o600); err != nil {
		t.Fatal(err)
	}
	file, diags := config.Read(path)
	if len(diags.Errors()) > 0 {
		t.Fatal(diags)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	e, err := router.New(t.Context(), file.Config, router.Options{
		Builtin:     map[string][]string{"process": {self, servePlugin}},
		Observer:    Observer(m, tracer),
		DialOptions: tracer.DialOptions(),
		NoJanitor:   true,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

// run runs a job that prints text, reads its output, and deletes it.
func run(t *testing.T, e *router.Engine, image, text string, env map[string]string) string {
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

// scrape returns what a handler tells: the value of each series that is the
// router's, as "name{label="value",…}" without the prefix.
func scrape(t *testing.T, h http.Handler) map[string]float64 {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if w.Code != http.StatusOK {
		t.Fatalf("%d: %s", w.Code, w.Body)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	series := make(map[string]float64)
	for name, f := range families {
		name, ours := strings.CutPrefix(name, Namespace+"_")
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
func traffic(t *testing.T, e *router.Engine) {
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
	m := NewMetrics("v1.2.3")
	e := start(t, m, nil)
	m.Watch(e, func() []string { return []string{""} })
	before := scrape(t, m.Handler())
	expect(t, before, map[string]float64{
		`build_info{version="v1.2.3"}`:                               1,
		`backend_state{backend="local",state="idle"}`:                1,
		`backend_state{backend="local",state="ready"}`:               0,
		`backend_restarts_total{backend="local"}`:                    0,
		`backend_max_atoms{backend="local"}`:                         50,
		`backend_drain{backend="idle"}`:                              1,
		`backend_drain{backend="local"}`:                             0,
		`backend_info{backend="gone",plugin="none-such",version=""}`: 1,
	})
	for key := range before {
		if strings.HasPrefix(key, "atoms{") {
			t.Errorf("%s, and no plugin runs", key)
		}
	}
	traffic(t, e)
	after := scrape(t, m.Handler())
	expect(t, after, map[string]float64{
		`requests_total{backend="local",class="ok",operation="create"}`:             3,
		`requests_total{backend="",class="unavailable",operation="create"}`:         1,
		`requests_total{backend="",class="permission_denied",operation="create"}`:   1,
		`requests_total{backend="",class="invalid_argument",operation="create"}`:    1,
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
		`backend_state{backend="idle",state="idle"}`:                                1,
	})
	if after[`request_duration_seconds{backend="local",operation="create"} sum`] <= 0 {
		t.Error("three creates took no time")
	}
	if states := e.Backends(); states[2].State != router.Idle {
		t.Errorf("a scrape has started backend %q: %s", states[2].Name, states[2].State)
	}
	linter := httptest.NewRecorder()
	m.Handler().ServeHTTP(linter, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	problems, err := promlint.New(linter.Body).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if strings.HasPrefix(p.Metric, Namespace) {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
}

// The open Waits and Logs are those that are open.
func TestOpenStreams(t *testing.T) {
	m := NewMetrics("")
	e := start(t, m, nil)
	m.Watch(e, func() []string { return []string{""} })
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
		return scrape(t, m.Handler())[`open_requests{backend="local",operation="wait"}`] == 1
	})
	expect(t, scrape(t, m.Handler()), map[string]float64{
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
	after := scrape(t, m.Handler())
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
