package realtest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/atom-router/atom-router/internal/testenv"
)

// listens is where Prometheus says which port it took.
var listens = regexp.MustCompile(`address=(127\.0\.0\.1:[1-9][0-9]*)`)

// prometheus is a Prometheus that scrapes and evaluates every second.
type prometheus struct{ url string }

func startPrometheus(t *testing.T, target, rules string) *prometheus {
	t.Helper()
	programs := testenv.Prometheus(t)
	dir := t.TempDir()
	config := fmt.Sprintf(`
global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [%q]
scrape_configs:
  - job_name: atom-router
    static_configs: [{targets: [%q]}]
`, rules, target)
	path := filepath.Join(dir, "prometheus.yml")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(filepath.Join(programs, "promtool"), "check", "config", path).CombinedOutput(); err != nil {
		t.Fatalf("promtool: %v\n%s", err, out)
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command(filepath.Join(programs, "prometheus"), "--config.file="+path, "--storage.tsdb.path="+filepath.Join(dir, "data"),
		"--web.listen-address=127.0.0.1:0")
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		http.DefaultClient.CloseIdleConnections()
		if t.Failed() {
			text, _ := os.ReadFile(log.Name())
			t.Logf("Prometheus:\n%s", text)
		}
	})
	p := &prometheus{}
	until(t, func() bool {
		text, err := os.ReadFile(log.Name())
		if found := listens.FindSubmatch(text); err == nil && found != nil {
			p.url = "http://" + string(found[1])
		}
		return p.url != ""
	})
	until(t, func() bool {
		resp, err := http.Get(p.url + "/-/ready")
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
	return p
}

// get asks its HTTP API.
func (p *prometheus) get(t *testing.T, path string, into any) {
	t.Helper()
	resp, err := http.Get(p.url + "/api/v1/" + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var answer struct {
		Status, Error string
		Data          json.RawMessage
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	if answer.Status != "success" {
		t.Fatalf("%s: %s", path, answer.Error)
	}
	if err := json.Unmarshal(answer.Data, into); err != nil {
		t.Fatal(err)
	}
}

// query returns the values of an expression.
func (p *prometheus) query(t *testing.T, expr string) (values []float64) {
	t.Helper()
	var data struct {
		Result []struct{ Value [2]any }
	}
	p.get(t, "query?query="+url.QueryEscape(expr), &data)
	for _, r := range data.Result {
		v, err := strconv.ParseFloat(fmt.Sprint(r.Value[1]), 64)
		if err != nil {
			t.Fatal(err)
		}
		values = append(values, v)
	}
	return values
}

// What was run is what Prometheus knows; the dashboard's panels have something
// to show; the alerts are loaded, and one fires that should.
func TestPrometheus(t *testing.T) {
	testenv.Prometheus(t)
	e := busy(t)
	rules, err := filepath.Abs(alertsFile)
	if err != nil {
		t.Fatal(err)
	}
	p := startPrometheus(t, strings.TrimSuffix(strings.TrimPrefix(e.url, "http://"), "/metrics"), rules)

	// A scrape that takes more than a second failed, which is no fault of what is
	// scraped.
	until(t, func() bool { return slices.Equal(p.query(t, `up{job="atom-router"}`), []float64{1}) })
	for expr, want := range map[string]float64{
		`sum(atom_router_requests_total{operation="create",class="ok"})`:                 4,
		`sum(atom_router_requests_total{operation="create",class!="ok"})`:                2,
		`atom_router_requests_total{operation="delete",class="ok",backend="local"}`:      2,
		`atom_router_request_duration_seconds_count{operation="create",backend="local"}`: 4,
		`sum(atom_router_decisions_total{outcome="routed"})`:                             5,
		`atom_router_fallbacks_total{rule="fall",backend="gone",cause="unavailable"}`:    1,
		`atom_router_log_bytes_total{backend="local"}`:                                   29,
		`atom_router_resumed_streams_total{backend="local",operation="wait"}`:            1,
		`atom_router_backend_restarts_total{backend="local"}`:                            1,
		`atom_router_backend_state{backend="pinned",state="failed"}`:                     1,
	} {
		var got []float64
		until(t, func() bool { got = p.query(t, expr); return len(got) > 0 })
		if len(got) != 1 || got[0] != want {
			t.Errorf("%s is %v, want %v", expr, got, want)
		}
	}

	for title, exprs := range panels(t) {
		for _, expr := range exprs {
			t.Log(title) // the last one is that which stays empty
			until(t, func() bool { return len(p.query(t, expr)) > 0 })
		}
	}

	var loaded struct {
		Groups []struct {
			Rules []struct{ Name, Health, LastError string }
		}
	}
	until(t, func() bool {
		p.get(t, "rules", &loaded)
		return len(loaded.Groups) == 1 && len(loaded.Groups[0].Rules) >= 10 && loaded.Groups[0].Rules[0].Health == "ok"
	})
	for _, r := range loaded.Groups[0].Rules {
		if r.LastError != "" {
			t.Errorf("%s: %s", r.Name, r.LastError)
		}
	}
	until(t, func() bool {
		return len(p.query(t, `ALERTS{alertname="AtomRouterBackendFailed",backend="pinned",alertstate="firing"}`)) == 1
	})
	if others := p.query(t, `ALERTS{alertname="AtomRouterBackendFailed",backend!="pinned"}`); len(others) > 0 {
		t.Errorf("it fires for others, too: %v", others)
	}
}

// Each alert fires for what it is about, and for nothing else.
func TestAlerts(t *testing.T) {
	promtool := filepath.Join(testenv.Prometheus(t), "promtool")
	dir := t.TempDir()
	for from, to := range map[string]string{alertsFile: "alerts.yml", "testdata/alerts_test.yml": "alerts_test.yml"} {
		text, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, to), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(promtool, "test", "rules", "alerts_test.yml")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
