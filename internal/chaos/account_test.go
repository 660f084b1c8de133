//go:build linux

package chaos

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/hashicorp/go-hclog"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/internal/testenv"
	"github.com/atom-router/atom-router/router"
)

// owner is whose atoms the jobs are, and stranger somebody on the same
// engines.
const (
	owner    = "chaos"
	stranger = "stranger"
)

// settleStrangers makes atoms of another owner, which run through it all.
func (p *place) settleStrangers(t *testing.T) []string {
	t.Helper()
	e, err := p.router(t.Context(), stranger, hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	var ids []string
	for _, backend := range []string{"host", "docker", "kube"} {
		a, err := e.Create(p.request(&job{N: -1, Backend: backend, Command: []string{"sleep", "3h"}}))
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, a.ID())
	}
	return ids
}

// audit collects what is wrong.
type audit struct {
	*place
	wrong []string
}

func (a *audit) report(format string, args ...any) {
	a.wrong = append(a.wrong, fmt.Sprintf(format, args...))
}

// account compares what there is with what there should be, then removes the
// atoms and looks for what is left. It returns what is wrong.
func (p *place) account(t *testing.T, jobs []job, strangers []string) []string {
	a := &audit{place: p, wrong: p.fleet.wrong}
	t.Setenv("TMPDIR", p.temp()) // so that what killed routers left there is swept
	p.backdate()
	e, err := p.router(t.Context(), owner, hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	atoms, err := e.List(&atom.EngineListRequest{Context: t.Context()})
	if err != nil {
		a.report("the last list: %v", err)
	}
	byJob := make(map[string][]string)
	for _, l := range atoms {
		n := atom.InfoOf(l).Labels[jobLabel]
		byJob[n] = append(byJob[n], l.ID())
	}
	for n := range jobs {
		a.job(t, e, &jobs[n], p.fleet.done[n], byJob[strconv.Itoa(n)])
		delete(byJob, strconv.Itoa(n))
	}
	for n, ids := range byJob {
		a.report("atoms %v of job %q, which is none of ours", ids, n)
	}
	for _, l := range atoms {
		if err := e.Delete(&atom.EngineDeleteRequest{ID: l.ID(), Force: true, Context: t.Context()}); err != nil {
			a.report("deleting %s: %v", l.ID(), err)
		}
	}
	if err := e.Close(); err != nil {
		a.report("closing the last router: %v", err)
	}
	a.strangers(t, strangers)
	a.leftovers(t)
	return a.wrong
}

// backdate makes what killed routers left look old enough to be swept.
func (p *place) backdate() {
	old := time.Now().Add(-time.Hour)
	dirs, _ := filepath.Glob(filepath.Join(p.temp(), "*"))
	for _, dir := range dirs {
		_ = os.Chtimes(dir, old, old)
	}
}

// job checks one job: its atoms, its result and its output.
func (a *audit) job(t *testing.T, e *router.Engine, j *job, o *outcome, ids []string) {
	name := fmt.Sprintf("job %d (%s, %.80q, %s)", j.N, j.Backend, strings.Join(j.Command, " "), o.ID)
	backend, _, _ := strings.Cut(o.ID, ":")
	hit := a.mayHaveLost(backend, o)
	switch {
	case o.ended.IsZero():
		a.report("%s has not ended", name)
		return
	case o.Wrong != "" && j.Result == atom.StartupFailure && o.Refused && len(ids) == 0:
		return // a start that fails may be an error that leaves nothing
	case o.Wrong != "":
		a.report("%s: %s", name, o.Wrong)
	}
	if len(ids) != 1 || ids[0] != o.ID {
		a.report("%s has atoms %v", name, ids)
	}
	switch {
	case o.State == atom.Stopped && o.Result == j.Result && o.Code == j.Code:
	case backend == "docker" && hit && o.State == atom.Stopped && (o.Result == atom.Unknown && o.Code < 0 || o.Code == 255):
		// Killed while it starts a container, Docker kills the container,
		// and says 255, or loses sight of it.
		a.abandoned++
	case backend == "kube" && a.mayHaveLost(testenv.Kubelet, o) && o.State == atom.Stopped && o.Result == atom.Unknown && o.Code < 0:
		// A kubelet that comes back to a pod whose time is up says Failed, and
		// nothing of how its container ended.
		a.abandoned++
	default:
		a.report("%s ended as %s/%s with code %d and not %s with %d: %s", name, o.State, o.Result, o.Code, j.Result, j.Code, o.Message)
		if id, ok := strings.CutPrefix(o.ID, "docker:"); ok {
			text, err := a.docker.Inspect(t.Context(), id)
			t.Logf("%s is %s, %v", o.ID, text, err)
		}
	}
	if string(o.Output) == j.Output && !o.Lost {
		return
	}
	if !hit {
		a.report("%s: loss of output was told of: %v; %s", name, o.Lost, departure(o.Output, []byte(j.Output)))
		return
	}
	// The engine was hit, so that what it recorded is what counts.
	a.partial++
	recorded, err := a.recorded(t, e, backend, o.ID)
	if err != nil {
		a.report("%s: what was recorded: %v", name, err)
	} else if lost := o.Result == atom.Unknown; !bytes.Equal(recorded, o.Output) && !(lost && bytes.HasPrefix(recorded, o.Output)) {
		a.report("%s, against what the engine recorded: %s", name, departure(o.Output, recorded))
	}
}

// mayHaveLost says whether a fault that loses output fell into the job's time.
func (a *audit) mayHaveLost(backend string, o *outcome) bool {
	for _, w := range a.lossy[backend] {
		if o.began.Before(w.to) && o.ended.After(w.from) {
			return true
		}
	}
	return false
}

// recorded is the output of an atom past the router, where there is a way.
func (a *audit) recorded(t *testing.T, e *router.Engine, backend, id string) ([]byte, error) {
	if backend == "docker" {
		return a.docker.Recorded(t.Context(), strings.TrimPrefix(id, "docker:"))
	}
	logs, err := e.Logs(&atom.EngineLogsRequest{ID: id, NoFollow: true, Context: t.Context()})
	if err != nil {
		return nil, err
	}
	defer logs.Close()
	var b bytes.Buffer
	if _, err = b.ReadFrom(logs); errdefs.IsDataLoss(err) {
		err = nil // the job's reader has been told, too
	}
	return b.Bytes(), err
}

// departure tells where a text is not what was wanted.
func departure(text, want []byte) string {
	i := 0
	for i < min(len(text), len(want)) && text[i] == want[i] {
		i++
	}
	return fmt.Sprintf("%d bytes of output, wanted %d; after %d comes %.80q, wanted %.80q", len(text), len(want), i, text[i:], want[i:])
}

// strangers have to be as they were.
func (a *audit) strangers(t *testing.T, ids []string) {
	e, err := a.router(t.Context(), stranger, hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	list, err := e.List(&atom.EngineListRequest{Context: t.Context()})
	if err != nil || len(list) != len(ids) {
		a.report("the stranger has %d atoms of %d, %v", len(list), len(ids), err)
	}
	for _, id := range ids {
		got, err := e.Get(&atom.EngineGetRequest{ID: id, Context: t.Context()})
		if err != nil {
			a.report("the stranger's %s: %v", id, err)
			continue
		}
		if got.State() != atom.Running {
			a.report("the stranger's %s is %s", id, got.State())
		}
		if err := e.Delete(&atom.EngineDeleteRequest{ID: id, Force: true, Context: t.Context()}); err != nil {
			a.report("deleting the stranger's %s: %v", id, err)
		}
		if _, err := e.Get(&atom.EngineGetRequest{ID: id, Context: t.Context()}); !errdefs.IsNotFound(err) {
			a.report("the stranger's %s after its Delete: %v", id, err)
		}
	}
}

// leftovers looks for what nobody needs any more.
func (a *audit) leftovers(t *testing.T) {
	if ids, err := a.docker.Containers(t.Context()); err != nil || len(ids) > 0 {
		a.report("containers left: %v, %v", ids, err)
	}
	pods, err := a.space.Admin.CoreV1().Pods(a.space.Name).List(t.Context(), metav1.ListOptions{})
	if err != nil || len(pods.Items) > 0 {
		a.report("%d pods left, %v", len(pods.Items), err)
	}
	var left []string
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		left = nil
		for pid, args := range processes() {
			if line := strings.Join(args, " "); strings.Contains(line, a.Dir) {
				left = append(left, fmt.Sprintf("%d %s", pid, line))
			}
		}
		if len(left) == 0 || time.Now().After(deadline) {
			break
		}
	}
	if len(left) > 0 {
		a.report("processes left: %q", left)
	}
	if files, _ := filepath.Glob(filepath.Join(a.temp(), "*")); len(files) > 0 {
		a.report("temporary files left: %v", files)
	}
	_ = filepath.WalkDir(a.StateDir, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			a.report("in the process engine's state there is %s", path)
		}
		return nil
	})
}
