//go:build linux

package chaos

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/atom-router/atom-router/atom/atomtest"
	"github.com/atom-router/atom-router/internal/testenv"
	"github.com/atom-router/atom-router/internal/testenv/kubespace"
)

func TestChaos(t *testing.T) {
	seed := *seedFlag
	if seed == 0 {
		seed = uint64(time.Now().UnixNano()) % 1e9
	}
	for _, kind := range faultKinds() {
		if faults[kind].do == nil {
			t.Fatalf("there is no fault %q", kind)
		}
	}
	repeat := fmt.Sprintf("make chaos CHAOS='-chaos.jobs=%d -chaos.faults=%d -chaos.seed=%d'", *jobCount, *faultCount, seed)
	t.Log("to repeat: " + repeat)
	jobs, list := plan(seed, *jobCount, *faultCount)
	p := newPlace(t)
	strangers := p.settleStrangers(t)
	p.fleet = newFleet(t, p.setup, jobs)
	began := time.Now()
	injected := make(map[string]int)
	for n, f := range list {
		// As many jobs have begun of all as faults have been.
		p.fleet.allow(routers*concurrency + len(jobs)*n/len(list))
		time.Sleep(f.after)
		if err := faults[f.kind].do(t, p, f.pick); err != nil {
			t.Errorf("fault %d, %s: %v", n, f.kind, err)
			break
		}
		injected[f.kind]++
	}
	p.fleet.allow(len(jobs))
	for deadline := time.Now().Add(jobTime + time.Minute); p.fleet.pending() > 0; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Errorf("%d jobs have not ended", p.fleet.pending())
			break
		}
	}
	p.fleet.end()
	took := time.Since(began)
	wrong := p.account(t, jobs, strangers)
	for _, w := range wrong {
		t.Error(w)
	}
	if t.Failed() {
		p.keepLogs(t)
	}
	t.Log(p.table(jobs, injected, len(wrong), took) + "to repeat: " + repeat)
}

// newPlace starts what the jobs run on. It ends with the test.
func newPlace(t *testing.T) *place {
	t.Helper()
	d := testenv.StartDocker(t)
	c := testenv.StartKube(t, testenv.ClusterOptions{})
	dir, err := os.MkdirTemp("/tmp", "atc")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	p := &place{docker: d, cluster: c, lossy: make(map[string][]window)}
	p.Dir, p.Image = dir, testenv.Image(t)
	for _, sub := range []string{"plugins", "tmp", "disk"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	disk := filepath.Join(dir, "disk")
	if err := syscall.Mount("none", disk, "tmpfs", 0, "size=64m"); err != nil {
		t.Fatalf("a small disk, which takes root: %v", err)
	}
	t.Cleanup(func() {
		for pid, args := range processes() {
			if strings.Contains(strings.Join(args, " "), dir) {
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
		}
		if err := syscall.Unmount(disk, 0); err != nil {
			t.Errorf("the small disk is in use: %v", err)
			_ = syscall.Unmount(disk, syscall.MNT_DETACH)
		}
	})
	p.StateDir = filepath.Join(disk, "state")
	for _, kind := range []string{"process", "docker", "kube"} {
		if err := p.installAs(kind); err != nil {
			t.Fatal(err)
		}
	}
	if p.Program, err = atomtest.BuildProbe(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	p.toDocker = testenv.StartProxy(t, "unix", filepath.Join(dir, "docker.sock"), strings.TrimPrefix(d.Host(), "unix://"))
	p.DockerHost = "unix://" + p.toDocker.Addr()
	space := kubespace.On(t, c.Kubeconfig(), nil)
	p.space = space
	p.toCluster, p.Kubeconfig = space.Through(t, space.Token(t))
	return p
}

// temp is where the routers' plugins have their sockets.
func (s setup) temp() string { return filepath.Join(s.Dir, "tmp") }

// table tells what was done.
func (p *place) table(jobs []job, injected map[string]int, anomalies int, took time.Duration) string {
	var b strings.Builder
	fmt.Fprintln(&b)
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "FAULT\tTIMES")
	total := 0
	for _, kind := range faultKinds() {
		fmt.Fprintf(w, "%s\t%d\n", kind, injected[kind])
		total += injected[kind]
	}
	slow := 0
	backends := make(map[string]int)
	retries, resumed, again := 0, 0, 0
	for n := range jobs {
		if jobs[n].Slow > 0 {
			slow++
		}
		o := p.fleet.done[n]
		name, _, _ := strings.Cut(o.ID, ":")
		backends[name]++
		retries, resumed, again = retries+o.Retries, resumed+o.Resumed, again+o.again
	}
	fmt.Fprintf(w, "all\t%d\n\n", total)
	fmt.Fprintf(w, "jobs\t%d\thost %d, docker %d, kube %d\n", len(jobs), backends["host"], backends["docker"], backends["kube"])
	fmt.Fprintf(w, "slow readers\t%d\t\n", slow)
	fmt.Fprintf(w, "children that hold a plugin's stderr\tone in each\t\n")
	fmt.Fprintf(w, "routers\t%d\t%d jobs were given to another\n", p.fleet.started, again)
	fmt.Fprintf(w, "calls asked again\t%d\t%d of them for logs by their cursor\n", retries, resumed)
	fmt.Fprintf(w, "recorded in part\t%d\tby engines that were killed, or whose disk was full\n", p.partial)
	fmt.Fprintf(w, "ended or lost by Docker or kubelet\t%d\twhen it was killed while it started or stopped them\n", p.abandoned)
	fmt.Fprintf(w, "time\t%v\t\n", took.Round(time.Second))
	fmt.Fprintf(w, "anomalies\t%d\t\n", anomalies)
	w.Flush()
	return b.String()
}

// keepLogs shows the ends of the routers' logs.
func (p *place) keepLogs(t *testing.T) {
	files, _ := filepath.Glob(filepath.Join(p.Dir, "router-*.log"))
	for _, file := range files {
		text, _ := os.ReadFile(file)
		t.Logf("%s:\n%s", filepath.Base(file), text[max(0, len(text)-4000):])
	}
	if keep := os.Getenv("ATOM_CHAOS_KEEP"); keep != "" {
		_ = os.MkdirAll(keep, 0o755)
		for _, file := range files {
			if text, err := os.ReadFile(file); err == nil {
				_ = os.WriteFile(filepath.Join(keep, filepath.Base(file)), text, 0o644)
			}
		}
	}
}
