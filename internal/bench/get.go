package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/atom/atomtest/memengine"
	"github.com/atom-router/atom-router/plugin"
	"github.com/atom-router/atom-router/router"
)

// child is what the processes that are measured do.
func child(name string, args []string) {
	switch name {
	case "child-plugin":
		plugin.Serve(plugin.Plugin[struct{}]{
			Name: "memory", Version: "bench", Capabilities: memengine.AllCapabilities(),
			New: func(context.Context, struct{}, hclog.Logger) (atom.Engine, error) { return memengine.New(), nil },
		})
	case "child-pouring":
		servePouring()
	case "child-endless", "child-crash":
		serveEndless(name == "child-crash")
	case "child-docker", "child-kube":
		serve := serveDocker
		if name == "child-kube" {
			serve = serveKube
		}
		exitOn(serve(args[0], args[1], args[2]))
	case "child-health":
		exitOn(serveHealth(args[0], args[1]))
	case "child-floor":
		exitOn(serveFloor(args[0]))
	}
}

// exitOn ends a child whose serving failed.
func exitOn(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// measureGet compares a Get through router and plugin, with an engine in the
// plugin's memory, with a health check over the same kind of connection.
func measureGet(ctx context.Context, rounds int) ([]figure, error) {
	health, _, stop, err := startHealthServer(ctx)
	if err != nil {
		return nil, err
	}
	defer stop()
	r, a, err := routerInMemory(ctx)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	check := func() error {
		_, err := health.Check(ctx, &grpc_health_v1.HealthCheckRequest{})
		return err
	}
	get := func() error {
		_, err := r.Get(&atom.EngineGetRequest{ID: a.ID(), Context: ctx})
		return err
	}
	// Three times as many: it takes seconds, and is near its aim.
	times, err := interleave(3*rounds, check, get)
	if err != nil {
		return nil, err
	}
	one := race{times[0], times[1]}
	figures := []figure{{
		slug: "ratio", name: "Get through router and plugin process, engine in memory / gRPC health check, same kind of socket, mTLS and options",
		values: one.ratios(), unit: "x", aim: 1.15, atMost: true, sides: one, detail: one.against(),
	}}
	for _, callers := range []int{8, 64} {
		many, err := alternate(rounds,
			func() (time.Duration, error) { return each(callers, check) },
			func() (time.Duration, error) { return each(callers, get) })
		if err != nil {
			return nil, err
		}
		figures = append(figures, figure{
			slug: fmt.Sprintf("callers=%d", callers), name: fmt.Sprintf("The same of %d callers at once, time for each call", callers),
			values: many.ratios(), unit: "x", sides: many, detail: many.against(),
		})
	}
	more := make([]float64, rounds)
	for n := range more {
		more[n] = allocations(get) - allocations(check)
	}
	return append(figures, figure{
		slug: "allocs", name: "Allocations of a routed Get in the router's process beyond those of a health check", values: more, unit: "allocs",
	}), nil
}

// routerInMemory is a router over one plugin process, whose engine is in its
// memory.
func routerInMemory(ctx context.Context) (*router.Engine, atom.Atom, error) {
	r, err := router.New(ctx, router.Config{
		Backends: []router.Backend{{Name: "memory", Plugin: "bench"}},
		Default:  router.Rule{Tiers: []router.Tier{{Targets: []router.Target{{Backend: "memory", Weight: 1}}}}},
	}, router.Options{Builtin: map[string][]string{"bench": {"/proc/self/exe", "child-plugin"}}, NoJanitor: true})
	if err != nil {
		return nil, nil, err
	}
	a, err := r.Create(&atom.EngineCreateRequest{Image: "memory", Context: ctx})
	if err != nil {
		r.Close()
		return nil, nil, err
	}
	return r, a, nil
}

// each is the time that a call takes where so many callers have calls under way
// all the while.
func each(callers int, call func() error) (time.Duration, error) {
	const calls = 5000
	errs := make([]error, callers)
	var wg sync.WaitGroup
	start := time.Now()
	for caller := range callers {
		wg.Go(func() {
			for n := 0; n < calls/callers && errs[caller] == nil; n++ {
				errs[caller] = call()
			}
		})
	}
	wg.Wait()
	return time.Since(start) / time.Duration(calls/callers*callers), errors.Join(errs...)
}

// allocations are those of a call in this process.
func allocations(call func() error) float64 {
	return testing.AllocsPerRun(1000, func() { _ = call() })
}
