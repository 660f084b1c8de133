package main

import (
	"context"
	"os"
	"path/filepath"
	"time"

	"github.com/atom-router/atom-router/plugin"
)

// measureStart tells how long the plugins take from their launch until they
// serve, against one that holds nothing but the wire, and how large they are.
func measureStart(ctx context.Context, rounds int) ([]figure, error) {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	var figures []figure
	for _, p := range []struct {
		name string
		aim  float64
	}{{"docker", 100}, {"kube", 200}} {
		if err := buildPlugin(ctx, p.name, dir); err != nil {
			return nil, err
		}
		path := filepath.Join(dir, "atom-plugin-"+p.name)
		r, err := alternate(rounds,
			func() (time.Duration, error) { return launchTime(ctx, "/proc/self/exe", "child-plugin") },
			func() (time.Duration, error) { return launchTime(ctx, path) })
		if err != nil {
			return nil, err
		}
		info, err := os.Stat(path)
		if err != nil {
			return nil, err
		}
		figures = append(figures,
			figure{slug: p.name, name: "From launch to ready: atom-plugin-" + p.name, values: r.times(time.Millisecond), unit: "ms", aim: p.aim, atMost: true, detail: "until it serves"},
			figure{slug: p.name + "-ratio", name: "The same / a plugin that has the wire and nothing else", values: r.ratios(), unit: "x", sides: r},
			figure{slug: p.name + "-size", name: "Size of atom-plugin-" + p.name, values: []float64{float64(info.Size()) / (1 << 20)}, unit: "MiB"})
	}
	return figures, nil
}

// launchTime is the median of a few launches.
func launchTime(ctx context.Context, path string, args ...string) (time.Duration, error) {
	var times []time.Duration
	for range 3 {
		began := time.Now()
		p, err := plugin.Launch(ctx, plugin.LaunchOptions{Name: "start", Path: path, Args: args})
		if err != nil {
			return 0, err
		}
		times = append(times, time.Since(began))
		if err := p.Close(); err != nil {
			return 0, err
		}
	}
	return median(times), nil
}
