package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/atom/container"
	"github.com/atom-router/atom-router/plugin"
	"github.com/atom-router/atom-router/plugins/process"
)

// The baselines: a program that prints a line, and a plugin that has the wire
// and nothing behind it.
const (
	emptyProgram = `package main

import "os"

func main() { os.Stdout.WriteString("a line\n") }
`
	wirePlugin = `package main

import (
	"context"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/plugin"
)

type none struct{ atom.Engine }

func main() {
	plugin.Serve(plugin.Plugin[struct{}]{Name: "wire", New: func(context.Context, struct{}, plugin.Logger) (atom.Engine, error) {
		return none{}, nil
	}})
}
`
)

// programs are those that are measured, built as a release builds them.
type programs struct{ dir string }

func (s programs) path(program string) string { return filepath.Join(s.dir, program) }

// measureStart tells how long the programs take from their launch until they
// are of use, against programs that do as good as nothing, and how large they
// are.
func measureStart(ctx context.Context, rounds int) ([]figure, error) {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	s := programs{dir}
	if err := s.build(ctx); err != nil {
		return nil, err
	}
	var figures []figure
	for _, measure := range []func(context.Context, int) ([]figure, error){s.explain, s.job, s.plugins, s.sizes} {
		f, err := measure(ctx, rounds)
		if err != nil {
			return nil, err
		}
		figures = append(figures, f...)
	}
	return figures, nil
}

func (s programs) build(ctx context.Context) error {
	for name, source := range map[string]string{"empty": emptyProgram, "wire": wirePlugin} {
		path := s.path(name + ".go")
		if err := os.WriteFile(path, []byte(source), 0o600); err != nil {
			return err
		}
		if err := build(ctx, path, s.path(name)); err != nil {
			return err
		}
	}
	if err := build(ctx, "github.com/atom-router/atom-router/cmd/atom-router", s.dir+"/"); err != nil {
		return err
	}
	for _, name := range []string{"docker", "kube", "process"} {
		if err := buildPlugin(ctx, name, s.dir+"/"); err != nil {
			return err
		}
	}
	return nil
}

// explain is the time from launch to a decision.
func (s programs) explain(ctx context.Context, rounds int) ([]figure, error) {
	var rules strings.Builder
	rules.WriteString("backend \"process\" {\n  plugin = \"process\"\n}\n")
	for n := range 1000 {
		fmt.Fprintf(&rules, "rule \"r%d\" {\n  match {\n    image = [\"registry-%d.example/*\"]\n  }\n  backend = \"process\"\n}\n", n, n)
	}
	many := s.path("many.hcl")
	if err := os.WriteFile(many, []byte(rules.String()), 0o600); err != nil {
		return nil, err
	}
	var figures []figure
	for _, c := range []struct {
		slug, name, config, image string
		aim                       float64
	}{
		{"explain", "From launch to a decision: `atom-router explain` with examples/config.hcl", "examples/config.hcl", "alpine:3", 20},
		{"explain-1000", "The same with 1,000 rules, the last of which matches", many, "registry-999.example/a", 0},
	} {
		r, err := alternate(rounds,
			func() (time.Duration, error) { return runTime(ctx, s.path("empty")) },
			func() (time.Duration, error) {
				return runTime(ctx, s.path("atom-router"), "explain", "-c", c.config, c.image)
			})
		if err != nil {
			return nil, err
		}
		figures = append(figures,
			figure{slug: c.slug, name: c.name, values: r.times(time.Millisecond), unit: "ms", aim: c.aim, atMost: true},
			figure{slug: c.slug + "-ratio", name: "The same / a Go program that prints a line", values: r.ratios(), unit: "x", detail: r.against(), sides: r})
	}
	return figures, nil
}

// job is a Create of the process engine, whose shim is atom-router.
func (s programs) job(ctx context.Context, rounds int) ([]figure, error) {
	e, err := process.New(ctx, process.Config{StateDir: s.path("state"), Shim: []string{s.path("atom-router")}}, nil)
	if err != nil {
		return nil, err
	}
	defer e.Close()
	r, err := alternate(rounds,
		func() (time.Duration, error) { return runTime(ctx, s.path("empty")) },
		func() (time.Duration, error) {
			return medianOf(20, func() error {
				a, err := e.Create(&atom.EngineCreateRequest{Image: "none", Spec: container.Spec{Entrypoint: []string{"/bin/true"}}, Context: ctx})
				if err != nil {
					return err
				}
				_, err = e.Wait(&atom.EngineWaitRequest{ID: a.ID(), Context: ctx})
				return err
			})
		})
	if err != nil {
		return nil, err
	}
	return []figure{
		{slug: "job", name: "A job of the process engine in atom-router: Create and Wait of `true`", values: r.times(time.Millisecond), unit: "ms"},
		{slug: "job-ratio", name: "The same / a Go program that prints a line", values: r.ratios(), unit: "x", detail: r.against(), sides: r},
	}, nil
}

// nobodysKubeconfig names an API server that nothing answers for.
const nobodysKubeconfig = `{"apiVersion": "v1", "kind": "Config", "current-context": "x",
	"contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}], "users": [{"name": "x", "user": {}}],
	"clusters": [{"name": "x", "cluster": {"server": "https://127.0.0.1:1"}}]}`

// plugins are the times from launch until a plugin has its engine, and serves.
// Nothing answers where Docker and Kubernetes should be: a plugin that asked them
// first would fail here.
func (s programs) plugins(ctx context.Context, rounds int) ([]figure, error) {
	kubeconfig := s.path("kubeconfig")
	if err := os.WriteFile(kubeconfig, []byte(nobodysKubeconfig), 0o600); err != nil {
		return nil, err
	}
	var figures []figure
	for _, p := range []struct {
		name, config string
		aim          float64
	}{
		{"docker", fmt.Sprintf(`{"host": %q}`, "unix://"+s.path("no.sock")), 100},
		{"kube", fmt.Sprintf(`{"kubeconfig": %q}`, kubeconfig), 200},
		{"process", fmt.Sprintf(`{"state_dir": %q}`, s.path("plugin-state")), 100},
	} {
		r, err := alternate(rounds,
			func() (time.Duration, error) { return launchTime(ctx, s.path("wire"), "{}") },
			func() (time.Duration, error) { return launchTime(ctx, s.path("atom-plugin-"+p.name), p.config) })
		if err != nil {
			return nil, err
		}
		figures = append(figures,
			figure{slug: p.name, name: "From launch to ready: atom-plugin-" + p.name, values: r.times(time.Millisecond), unit: "ms", aim: p.aim, atMost: true, detail: "its engine made of its config"},
			figure{slug: p.name + "-ratio", name: "The same / a plugin that has the wire and nothing else", values: r.ratios(), unit: "x", detail: r.against(), sides: r})
	}
	return figures, nil
}

func (s programs) sizes(context.Context, int) ([]figure, error) {
	var figures []figure
	for _, p := range []struct{ file, name string }{
		{"empty", "the program that prints a line"}, {"wire", "the plugin that has the wire and nothing else"},
		{"atom-plugin-process", "atom-plugin-process"}, {"atom-plugin-docker", "atom-plugin-docker"},
		{"atom-plugin-kube", "atom-plugin-kube"}, {"atom-router", "atom-router"},
	} {
		info, err := os.Stat(s.path(p.file))
		if err != nil {
			return nil, err
		}
		figures = append(figures, figure{slug: p.file + "-size", name: "Size of " + p.name, values: []float64{float64(info.Size()) / (1 << 20)}, unit: "MiB"})
	}
	return figures, nil
}

// runTime is the median of a few runs of a program, from launch to its end.
func runTime(ctx context.Context, path string, args ...string) (time.Duration, error) {
	return medianOf(20, func() error {
		if out, err := exec.CommandContext(ctx, path, args...).CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w\n%s", path, err, out)
		}
		return nil
	})
}

// launchTime is the median of a few launches, each until the plugin serves: it
// has described itself, and made its engine of its config.
func launchTime(ctx context.Context, path, config string) (time.Duration, error) {
	var times []time.Duration
	for range 5 {
		began := time.Now()
		p, err := plugin.Launch(ctx, plugin.LaunchOptions{Name: "start", Path: path})
		if err != nil {
			return 0, err
		}
		err = p.Configure(ctx, []byte(config))
		times = append(times, time.Since(began))
		if err := errors.Join(err, p.Close()); err != nil {
			return 0, err
		}
	}
	return median(times), nil
}
