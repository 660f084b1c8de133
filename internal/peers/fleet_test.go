//go:build linux

package peers

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/atom/atomtest"
	"github.com/atom-router/atom-router/internal/testenv"
	"github.com/atom-router/atom-router/internal/testenv/kubespace"
	"github.com/atom-router/atom-router/plugin"
	"github.com/atom-router/atom-router/plugins/docker"
	"github.com/atom-router/atom-router/plugins/kube"
	"github.com/atom-router/atom-router/plugins/process"
	"github.com/atom-router/atom-router/router"
)

// servePlugin as the first argument makes this test binary the plugin that
// the second names.
const servePlugin = "serve-plugin"

func TestMain(m *testing.M) {
	process.RunShim()
	if len(os.Args) > 2 && os.Args[1] == servePlugin {
		switch os.Args[2] {
		case "process":
			plugin.Serve(process.Plugin())
		case "docker":
			plugin.Serve(docker.Plugin())
		case "kube":
			plugin.Serve(kube.Plugin())
		}
		return
	}
	os.Exit(m.Run())
}

// settings are decoded already.
type settings map[string]any

func (s settings) Decode(plugin.Schema) ([]byte, error) { return json.Marshal(s) }
func (s settings) Explain(err error) error              { return err }
func (s settings) Equal(other router.Settings) bool     { return reflect.DeepEqual(s, other) }

// fleet is a router over three kinds of backend, each of which gets the jobs
// whose names begin with its own.
func fleet(t *testing.T, owner string, backends ...router.Backend) *router.Engine {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := router.Config{Owner: owner, Backends: backends}
	builtin := make(map[string][]string)
	for _, b := range backends {
		name, err := router.ParsePattern(b.Name + "-*")
		if err != nil {
			t.Fatal(err)
		}
		builtin[b.Plugin] = []string{self, servePlugin, b.Plugin}
		c.Rules = append(c.Rules, router.Rule{
			Name: b.Name, Match: router.Match{Name: []router.Pattern{name}},
			Tiers: []router.Tier{{Targets: []router.Target{{Backend: b.Name, Weight: 1}}}},
		})
	}
	e, err := router.New(t.Context(), c, router.Options{Builtin: builtin, NoJanitor: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}

// expected is what is to become of a job.
type expected struct {
	result atom.Result
	code   int
	output string
}

// kinds are the steps of jobs, and how those end.
var kinds = []struct {
	steps, until string
	expected
}{
	{"print NAME", "", expected{atom.Success, 0, "NAME\n"}},
	{"print NAME ; exit 3", "", expected{atom.Failure, 3, "NAME\n"}},
	{"lines 30 10ms NAME", "", expected{atom.Success, 0, numbered("NAME", 30)}},
	{"write NAME ; exit 127", "", expected{atom.Failure, 127, "NAME"}},
	{"print NAME ; raise KILL", "", expected{atom.Killed, 137, "NAME\n"}},
	{"print NAME ; raise TERM", "", expected{atom.Terminated, 143, "NAME\n"}},
	{"print NAME ; print ready ; sleep 1h", "ready", expected{atom.Terminated, 143, "NAME\nready\n"}},
	{"trap 0 bye ; print NAME ; print ready ; sleep 1h", "ready", expected{atom.Success, 0, "NAME\nready\nbye\n"}},
}

func numbered(word string, n int) string {
	var text strings.Builder
	for i := range n {
		fmt.Fprintf(&text, "%s %d\n", word, i)
	}
	return text.String()
}

// A scheduler that knows one engine runs its jobs on three kinds of them.
func TestSchedulerOnAFleet(t *testing.T) {
	const owner = "peers"
	host, image, space := testenv.Docker(t), testenv.Image(t), kubespace.New(t, nil)
	program, err := atomtest.BuildProbe(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	e := fleet(t, owner,
		router.Backend{Name: "host", Plugin: "process", Settings: settings{"state_dir": t.TempDir()}},
		router.Backend{Name: "docker", Plugin: "docker", Settings: settings{"host": host}},
		router.Backend{Name: "kube", Plugin: "kube", Settings: settings{
			// With another grace than the scheduler's a pod is deleted to stop it,
			// and its log goes with it.
			"kubeconfig": space.Kubeconfig, "stop_timeout": grace.String(),
		}})

	var jobs []Job
	var want []expected
	count := map[string]int{"host": 80, "docker": 72, "kube": 48}
	for _, where := range []string{"host", "docker", "kube"} {
		for i := range count[where] {
			kind := kinds[i%len(kinds)]
			name := fmt.Sprintf("%s-%d", where, i)
			job := Job{Name: name, Image: image, Command: strings.Fields(strings.ReplaceAll(kind.steps, "NAME", name)), Until: kind.until}
			if where == "host" {
				job.Command = slices.Insert(job.Command, 0, program)
			}
			kind.output = strings.ReplaceAll(kind.output, "NAME", name)
			jobs, want = append(jobs, job), append(want, kind.expected)
		}
	}
	began := time.Now()
	s := &Scheduler{Engine: e, Parallel: 24}
	runs := s.Run(t.Context(), jobs)
	t.Logf("%d jobs took %v", len(runs), time.Since(began).Round(time.Millisecond))

	// The scheduler's word is held against what the operator sees.
	if err := s.Audit(runs, began); err != nil {
		t.Error(err)
	}
	for i, run := range runs {
		w := want[i]
		if run.Err != nil || run.Result != w.result || run.Output != w.output || run.Started.IsZero() || run.Stopped.Before(run.Started) {
			t.Errorf("%s is %s with output %q, from %v to %v, %v; want %s with %q", run.Job.Name, run.Result, run.Output, run.Started, run.Stopped, run.Err, w.result, w.output)
			continue
		}
		a, err := e.Get(&atom.EngineGetRequest{ID: run.ID, Context: t.Context()})
		if err != nil {
			t.Error(err)
			continue
		}
		backend, _, _ := strings.Cut(run.Job.Name, "-")
		if info := atom.InfoOf(a); info.ExitCode == nil || *info.ExitCode != w.code || info.Rule != backend || !strings.HasPrefix(run.ID, backend+":") {
			t.Errorf("%s, ID %s, ended with %v by rule %s; want %d on %s", run.Job.Name, run.ID, info.ExitCode, info.Rule, w.code, backend)
		}
	}
	if len(runs) != 200 {
		t.Errorf("there are %d runs", len(runs))
	}
	deleteAll(t, e, space, runs)
}

// deleteAll deletes all, as an operator's retention would, and sees that nothing
// is left.
func deleteAll(t *testing.T, e *router.Engine, space *kubespace.Space, runs []Run) {
	t.Helper()
	for _, run := range runs {
		if run.ID == "" {
			continue
		}
		if err := e.Delete(&atom.EngineDeleteRequest{ID: run.ID, Force: true, Context: t.Context()}); err != nil {
			t.Error(err)
		}
	}
	if left, err := e.List(&atom.EngineListRequest{Context: t.Context()}); err != nil || len(left) > 0 {
		t.Errorf("left are %v, %v", left, err)
	}
	pods, err := space.Admin.CoreV1().Pods(space.Name).List(context.Background(), metav1.ListOptions{})
	if err != nil || len(pods.Items) > 0 {
		t.Errorf("%d pods are left, %v", len(pods.Items), err)
	}
}
