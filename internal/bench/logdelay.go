package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/router"
)

const (
	// delayLines are written in a round, one every delayEvery.
	delayLines = 250
	delayEvery = 20 * time.Millisecond
)

// measureLogDelay tells how long it takes from a job's write to the reader's
// read: the job writes the time, and is followed through router and plugin and
// with the platform's own command, both at the same time.
func measureLogDelay(ctx context.Context, rounds int) ([]figure, error) {
	d, err := startDocker(ctx)
	if err != nil {
		return nil, err
	}
	defer d.stop()
	command, err := exec.LookPath("docker")
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNoEngine, err)
	}
	figures, err := compareDelays(ctx, rounds, d.router, d.image, "docker logs -f", func(id string) *exec.Cmd {
		return exec.CommandContext(ctx, command, "logs", "-f", id)
	})
	if err != nil {
		return nil, err
	}
	c, err := startCluster(ctx, false, usual)
	if err != nil {
		return figures, err
	}
	defer c.stop()
	command, err = buildKubectl(ctx, c.dir)
	if err != nil {
		return nil, err
	}
	more, err := compareDelays(ctx, rounds, c.router, c.image, "kubectl logs -f", func(id string) *exec.Cmd {
		pod := strings.Split(id, "/")[1]
		return exec.CommandContext(ctx, command, "--kubeconfig", c.kubeconfig, "-n", c.namespace, "logs", "-f", pod)
	})
	return append(figures, more...), err
}

// buildKubectl builds the command of the Kubernetes that tests run against. That
// module requires less than it needs, so it is built by a copy of go.mod.
func buildKubectl(ctx context.Context, dir string) (string, error) {
	module, path := filepath.Join("internal", "testenv", "k8s"), filepath.Join(dir, "kubectl")
	for _, name := range []string{"go.mod", "go.sum"} {
		text, err := os.ReadFile(filepath.Join(module, name))
		if err != nil {
			return "", err
		}
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			return "", err
		}
	}
	build := exec.CommandContext(ctx, "go", "build", "-modfile", filepath.Join(dir, "go.mod"), "-mod=mod",
		"-trimpath", "-ldflags=-s -w", "-o", path, "k8s.io/kubernetes/cmd/kubectl")
	build.Dir = module
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building kubectl: %w\n%s", err, out)
	}
	return path, nil
}

// compareDelays gives the delays' medians and 99th percentiles, one a round,
// through the router for those of a command.
func compareDelays(ctx context.Context, rounds int, e *router.Engine, image, name string, command func(native string) *exec.Cmd) ([]figure, error) {
	at := []float64{0.5, 0.99}
	var ours, theirs [2][]float64 // milliseconds
	for round := range rounds + 1 {
		near, far, err := delays(ctx, e, image, command)
		if err != nil {
			return nil, err
		}
		for n, q := range at {
			if round > 0 {
				ours[n], theirs[n] = append(ours[n], quantile(near, q)), append(theirs[n], quantile(far, q))
			}
		}
	}
	slug, _, _ := strings.Cut(name, " ")
	var figures []figure
	for n, q := range []string{"p50", "p99"} {
		f := figure{slug: slug + "-" + q, name: fmt.Sprintf("From a job's write to the reader's read, %s / `%s`", q, name), unit: "x",
			detail: fmt.Sprintf("%s ms against %s", bare(median(ours[n])), bare(median(theirs[n])))}
		for round := range ours[n] {
			f.values = append(f.values, ours[n][round]/theirs[n][round])
		}
		figures = append(figures, f)
	}
	return figures, nil
}

// quantile is that of some durations, in milliseconds.
func quantile(all []time.Duration, q float64) float64 {
	sorted := slices.Sorted(slices.Values(all))
	return float64(sorted[int(q*float64(len(sorted)-1))]) / float64(time.Millisecond)
}

// delays follows one atom in both ways.
func delays(ctx context.Context, e *router.Engine, image string, command func(native string) *exec.Cmd) (ours, theirs []time.Duration, err error) {
	// Both are there before it writes.
	job := []string{"sleep", "2s", ";", "clock", strconv.Itoa(delayLines), delayEvery.String()}
	a, err := e.Create(&atom.EngineCreateRequest{Image: image, Command: job, Context: ctx})
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = e.Delete(&atom.EngineDeleteRequest{ID: a.ID(), Force: true}) }()
	if err := started(ctx, e, a.ID()); err != nil {
		return nil, nil, err
	}
	logs, err := e.Logs(&atom.EngineLogsRequest{ID: a.ID(), Context: ctx})
	if err != nil {
		return nil, nil, err
	}
	defer logs.Close()
	_, native, _ := strings.Cut(a.ID(), ":")
	cmd := command(native)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, nil, err
	}
	var both sync.WaitGroup
	var oursErr, theirsErr error
	both.Go(func() { ours, oursErr = ages(logs) })
	both.Go(func() { theirs, theirsErr = ages(out) })
	both.Wait()
	return ours, theirs, errors.Join(oursErr, theirsErr, cmd.Wait())
}

// started waits until an atom runs: a pod is not to be followed before.
func started(ctx context.Context, e atom.Engine, id string) error {
	for {
		a, err := e.Get(&atom.EngineGetRequest{ID: id, Context: ctx})
		if err != nil || a.State() != atom.Created {
			return err
		}
		if !rest(ctx) {
			return ctx.Err()
		}
	}
}

// ages reads times and says of each how long ago it was.
func ages(r io.Reader) ([]time.Duration, error) {
	all := make([]time.Duration, 0, delayLines)
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		at, err := strconv.ParseInt(lines.Text(), 10, 64)
		if err != nil {
			return nil, err
		}
		all = append(all, time.Since(time.Unix(0, at)))
	}
	if lines.Err() == nil && len(all) != delayLines {
		return nil, fmt.Errorf("%d of %d lines came", len(all), delayLines)
	}
	return all, lines.Err()
}
