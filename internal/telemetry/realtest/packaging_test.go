package realtest

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"

	"github.com/google/go-cmp/cmp"

	"github.com/atom-router/atom-router/internal/telemetry"
)

const (
	alertsFile    = "../../../packaging/prometheus/alerts.yml"
	dashboardFile = "../../../packaging/grafana/atom-router.json"
	pageFile      = "../../../docs/monitoring.md"
)

var update = flag.Bool("update", false, "write the table of metrics in docs/monitoring.md")

// dashboard is what of Grafana's file has expressions.
type dashboard struct {
	Panels []struct {
		Title   string
		Targets []struct{ Expr string }
	}
	Templating struct {
		List []struct{ Name, Definition string }
	}
}

// panels are the expressions of the dashboard's panels as Prometheus gets
// them, by title.
func panels(t *testing.T) map[string][]string {
	t.Helper()
	text, err := os.ReadFile(dashboardFile)
	if err != nil {
		t.Fatal(err)
	}
	var d dashboard
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	fill := strings.NewReplacer("$backend", ".*", "$__rate_interval", "1m")
	all := make(map[string][]string)
	for _, p := range d.Panels {
		for _, target := range p.Targets {
			all[p.Title] = append(all[p.Title], fill.Replace(target.Expr))
		}
	}
	for _, v := range d.Templating.List {
		if v.Definition != "" {
			all["variable "+v.Name] = []string{strings.TrimSuffix(strings.TrimPrefix(v.Definition, "label_values("), ", backend)")}
		}
	}
	if len(all) < 15 {
		t.Fatalf("only %d panels were found", len(all))
	}
	return all
}

// selector is a metric of ours in an expression, and what its labels are to
// be.
var (
	selector = regexp.MustCompile(`\b(atom_router_\w+)(\{[^}]*\})?`)
	matcher  = regexp.MustCompile(`(\w+)\s*(?:=~|!~|!=|=)\s*"`)
)

// check reports what an expression asks for and nobody exports.
func check(t *testing.T, where, expr string, families map[string]*dto.MetricFamily) (metrics int) {
	t.Helper()
	for _, found := range selector.FindAllStringSubmatch(expr, -1) {
		name := found[1]
		f := families[name]
		if base, ok := strings.CutSuffix(name, "_bucket"); ok {
			f = families[base]
		}
		if f == nil {
			t.Errorf("%s: there is no metric %s", where, name)
			continue
		}
		metrics++
		for _, label := range matcher.FindAllStringSubmatch(found[2], -1) {
			has := slices.ContainsFunc(f.Metric[0].Label, func(l *dto.LabelPair) bool { return l.GetName() == label[1] })
			if !has {
				t.Errorf("%s: %s has no label %s", where, name, label[1])
			}
		}
	}
	return metrics
}

// busy is a daemon that exports everything that there is to export.
func busy(t *testing.T) *fleet {
	t.Helper()
	e := start(t)
	traffic(t, e)
	resume(t, e)
	// Counted at most every so often, and there must be a count.
	until(t, func() bool { return families(t, e.url)["atom_router_atoms"] != nil })
	return e
}

// What the dashboard and the alerts ask for is exported, and the page tells
// of all that is.
func TestPackagedFiles(t *testing.T) {
	told := families(t, busy(t).url)
	for title, exprs := range panels(t) {
		for _, expr := range exprs {
			if n := check(t, "panel "+title, expr, told); n == 0 && !strings.Contains(expr, "process_") {
				t.Errorf("panel %s: no metric is in %s", title, expr)
			}
		}
	}
	alerts, err := os.ReadFile(alertsFile)
	if err != nil {
		t.Fatal(err)
	}
	if n := check(t, "alerts", string(alerts), told); n < 10 {
		t.Errorf("only %d metrics were found in the alerts", n)
	}

	table := "| Metric | Type | Labels | |\n|---|---|---|---|\n"
	for _, name := range slices.Sorted(func(yield func(string) bool) {
		for name := range told {
			if strings.HasPrefix(name, telemetry.Namespace) && !yield(name) {
				return
			}
		}
	}) {
		f := told[name]
		var labels []string
		for _, l := range f.Metric[0].Label {
			labels = append(labels, "`"+l.GetName()+"`")
		}
		table += fmt.Sprintf("| `%s` | %s | %s | %s |\n", name, strings.ToLower(f.GetType().String()), strings.Join(labels, ", "), f.GetHelp())
	}
	page, err := os.ReadFile(pageFile)
	if err != nil {
		t.Fatal(err)
	}
	const begin, end = "<!-- metrics: go test ./internal/telemetry/realtest -update -->\n", "<!-- end of metrics -->"
	before, rest, ok := strings.Cut(string(page), begin)
	had, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has no place for the metrics", pageFile)
	}
	if *update {
		if err := os.WriteFile(pageFile, []byte(before+begin+table+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
		had = table
	}
	if diff := cmp.Diff(table, had); diff != "" {
		t.Errorf("%s tells of other metrics than there are (-want +got); go test ./internal/telemetry/realtest -update writes it:\n%s", pageFile, diff)
	}
	for _, found := range regexp.MustCompile(`alert: (\w+)`).FindAllStringSubmatch(string(alerts), -1) {
		if !strings.Contains(after, "`"+found[1]+"`") {
			t.Errorf("%s does not say what to do about %s", pageFile, found[1])
		}
	}
}
