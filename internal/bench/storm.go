package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
	"google.golang.org/grpc/health/grpc_health_v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/internal/load"
	"github.com/atom-router/atom-router/plugins/process"
	"github.com/atom-router/atom-router/router"
)

// How many Creates are a storm, so many callers at a time. On the process engine
// the rounds share them, or it would take too long; Docker starts a few
// containers a second.
const (
	stormCreates       = 2000
	pathCreates        = 10_000
	dockerStormCreates = 64
	kubeStormCreates   = 500
)

// storm has many callers create n atoms at the same time, and says how long
// that took. What they made has ended and is removed when it returns, which
// does not count.
func storm(n int, create func() (string, error), remove func(id string) error) (time.Duration, error) {
	ids := make([]string, n)
	took, err := timed(func() error {
		return all(n, func(i int) (err error) {
			ids[i], err = create()
			return err
		})
	})
	return took, errors.Join(err, all(n, func(i int) error {
		if ids[i] == "" {
			return nil
		}
		return remove(ids[i])
	}))
}

// stormOn is a storm at an engine, whatever it is.
func stormOn(ctx context.Context, e load.Engine, n int, request atom.EngineCreateRequest) (time.Duration, error) {
	return storm(n, func() (string, error) {
		r := request
		r.Context = ctx
		a, err := e.Create(&r)
		if err != nil {
			return "", err
		}
		return a.ID(), nil
	}, func(id string) error {
		return e.Delete(&atom.EngineDeleteRequest{ID: id, Context: ctx, Force: true})
	})
}

// measureStorm compares many Creates at a time through router and plugin with
// the same at the process engine in this process. The parent of each job is the
// plugin's program on both sides. Beside it stands what router and plugin take
// by themselves: a fiftieth or so of what it takes to start a job, so that the
// two sides are about even, and the router may come out ahead.
//
// What may hold up the engine in this process is that Go, while it starts a
// process, keeps one of its GOMAXPROCS processors waiting for it: here one of
// the callers', where router and plugin have as many each. Twice as many for
// that side made no difference that could be told from chance, so it is left as
// a user has it. Jobs that still run when the last Create has returned are few
// on either side: they end within some hundredths of the time.
func measureStorm(ctx context.Context, rounds int) ([]figure, error) {
	p, err := startProcess(ctx)
	if err != nil {
		return nil, err
	}
	defer p.stop()
	job := atom.EngineCreateRequest{Image: "none", Command: []string{"true"}}
	n := stormCreates / rounds
	r, err := alternate(rounds,
		func() (time.Duration, error) { return stormOn(ctx, p.straight, n, job) },
		func() (time.Duration, error) { return stormOn(ctx, p.router, n, job) })
	if err != nil {
		return nil, err
	}
	path, err := measureCreatePath(ctx, rounds)
	f := stormFigure("process", fmt.Sprintf("the process engine in the caller's process, %d a round", n), stormCreates, 0.8, n, r)
	return []figure{f, path}, err
}

// measureCreatePath compares many Creates at a time at an engine in the plugin's
// memory with as many gRPC health checks over the same kind of connection.
func measureCreatePath(ctx context.Context, rounds int) (figure, error) {
	health, _, stop, err := startHealthServer(ctx)
	if err != nil {
		return figure{}, err
	}
	defer stop()
	e, err := routerOver(ctx, "child-plugin")
	if err != nil {
		return figure{}, err
	}
	defer e.Close()
	r, err := alternate(rounds,
		func() (time.Duration, error) {
			return timed(func() error {
				return all(pathCreates, func(int) error {
					_, err := health.Check(ctx, &grpc_health_v1.HealthCheckRequest{})
					return err
				})
			})
		},
		func() (time.Duration, error) {
			return stormOn(ctx, e, pathCreates, atom.EngineCreateRequest{Image: "memory"})
		})
	return figure{
		slug: "path", name: fmt.Sprintf("%d Creates of %d callers, engine in the plugin's memory / as many gRPC health checks", pathCreates, callers),
		values: r.ratios(), unit: "x", sides: r, detail: r.against(),
	}, err
}

// stormFigure is that of a storm of so many Creates, n of them a round.
func stormFigure(slug, against string, creates int, aim float64, n int, r race) figure {
	rate := func(t time.Duration) float64 { return float64(n) / t.Seconds() }
	return figure{
		slug: slug, name: fmt.Sprintf("%d Creates of %d callers, throughput / %s", creates, callers, against),
		values: r.speeds(), unit: "x", aim: aim, sides: r,
		detail: fmt.Sprintf("%.0f a second against %.0f", rate(median(r.subject)), rate(median(r.baseline))),
	}
}

// processSide is the process engine in this process and through the router,
// with a state directory each.
type processSide struct {
	straight *process.Engine
	router   *router.Engine
	dir      string
}

func startProcess(ctx context.Context) (*processSide, error) {
	p := &processSide{}
	if err := p.start(ctx); err != nil {
		p.stop()
		return nil, err
	}
	return p, nil
}

func (p *processSide) start(ctx context.Context) error {
	var err error
	if p.dir, err = os.MkdirTemp("", "bench"); err != nil {
		return err
	}
	if err := buildPlugin(ctx, "process", p.dir); err != nil {
		return err
	}
	p.straight, err = process.New(ctx, process.Config{
		StateDir: filepath.Join(p.dir, "straight"), Shim: p.shim(),
	}, nil)
	if err != nil {
		return err
	}
	p.router, err = routerOn(ctx, p.dir, "process", fmt.Sprintf("state_dir = %q", filepath.Join(p.dir, "routed")))
	return err
}

// shim is the plugin's program, as the parent of jobs.
func (p *processSide) shim() []string { return []string{filepath.Join(p.dir, "atom-plugin-process")} }

func (p *processSide) stop() {
	if p.router != nil {
		p.router.Close()
	}
	if p.straight != nil {
		p.straight.Close()
	}
	os.RemoveAll(p.dir)
}

// measureDockerStorm compares many Creates at a time through router and plugin
// with create and start by Docker's client.
func measureDockerStorm(ctx context.Context, rounds int) ([]figure, error) {
	d, err := startDocker(ctx)
	if err != nil {
		return nil, err
	}
	defer d.stop()
	r, err := alternate(2*rounds, // as few containers are started a second, one more or less shows
		func() (time.Duration, error) {
			return storm(dockerStormCreates, func() (string, error) { return d.startStraight(ctx) }, func(id string) error {
				return d.straight.ContainerRemove(ctx, id, container.RemoveOptions{Force: true})
			})
		},
		func() (time.Duration, error) {
			return stormOn(ctx, d.router, dockerStormCreates, atom.EngineCreateRequest{Image: d.image, Command: []string{"sleep", "1h"}})
		})
	if err != nil {
		return nil, err
	}
	return []figure{stormFigure("docker", "Docker's client", dockerStormCreates, 0.95, dockerStormCreates, r)}, nil
}

// startStraight creates and starts a container as the engine does it.
func (d *dockerSide) startStraight(ctx context.Context) (string, error) {
	made, err := d.straight.ContainerCreate(ctx, &container.Config{Image: d.image, Cmd: []string{"sleep", "1h"}},
		&container.HostConfig{LogConfig: container.LogConfig{Type: "local", Config: map[string]string{"compress": "false"}}}, nil, nil, "")
	if err != nil {
		return "", err
	}
	return made.ID, d.straight.ContainerStart(ctx, made.ID, container.StartOptions{})
}

// measureKubeStorm compares many Creates at a time through router and plugin
// with those of client-go: once with the limits that the plugin has by itself,
// and once with such that the processors are the limit. Nobody does anything
// about the pods, so that it is Creates that are measured.
func measureKubeStorm(ctx context.Context, rounds int) ([]figure, error) {
	var figures []figure
	for _, kind := range []struct {
		slug, name string
		limits     limits
	}{
		{"usual", fmt.Sprintf("client-go, both with %d requests a second and a burst of %d", usual.qps, usual.burst), usual},
		{"wide", "client-go, both with limits so wide that the processors are the limit", wide},
	} {
		c, err := startClusterWith(ctx, deafNode, kind.limits)
		if err != nil {
			return nil, err
		}
		r, hop, err := c.storms(ctx, rounds)
		c.stop()
		if err != nil {
			return nil, err
		}
		figures = append(figures,
			stormFigure(kind.slug, kind.name, kubeStormCreates, 0.95, kubeStormCreates, r),
			stormFigure(kind.slug+"-hop", "the engine in the callers' process, with the same limits", kubeStormCreates, 0, kubeStormCreates, hop))
	}
	return figures, nil
}

// storms are those through router and plugin, beside client-go and beside the
// engine in this process: the second is the hop alone.
func (c *cluster) storms(ctx context.Context, rounds int) (straight, hop race, err error) {
	engine, err := c.engine(ctx)
	if err != nil {
		return race{}, race{}, err
	}
	defer engine.Close()
	side := func(create func() (string, error)) func() (time.Duration, error) {
		return func() (time.Duration, error) {
			settle()
			return storm(kubeStormCreates, create, func(name string) error {
				return c.admin.CoreV1().Pods(c.namespace).Delete(ctx, name, metav1.DeleteOptions{GracePeriodSeconds: new(int64)})
			})
		}
	}
	by := func(e atom.Engine) func() (time.Duration, error) {
		return side(func() (string, error) {
			a, err := e.Create(&atom.EngineCreateRequest{Image: c.image, Context: ctx})
			if err != nil {
				return "", err
			}
			return strings.Split(a.ID(), "/")[1], nil
		})
	}
	straight, err = alternate(rounds, side(func() (string, error) { return c.createStraight(ctx) }), by(c.router))
	if err == nil {
		hop, err = alternate(rounds, by(engine), by(c.router))
	}
	return straight, hop, err
}
