package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/atom/atomtest/memengine"
	"github.com/atom-router/atom-router/plugin"
	"github.com/atom-router/atom-router/router"
)

// callsPerRound is how many calls a round makes on each side.
const callsPerRound = 5000

// child is what the processes that are measured do.
func child(name string, args []string) {
	switch name {
	case "child-plugin":
		plugin.Serve(plugin.Plugin[struct{}]{
			Name: "memory", Version: "bench", Capabilities: memengine.AllCapabilities(),
			New: func(context.Context, struct{}, hclog.Logger) (atom.Engine, error) { return memengine.New(), nil },
		})
	case "child-endless", "child-crash":
		serveEndless(name == "child-crash")
	case "child-docker", "child-kube":
		serve := serveDocker
		if name == "child-kube" {
			serve = serveKube
		}
		if err := serve(args[0], args[1]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	case "child-health":
		if err := serveHealth(args[0], args[1]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
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
	r, err := router.New(ctx, router.Config{
		Backends: []router.Backend{{Name: "memory", Plugin: "bench"}},
		Default:  router.Rule{Tiers: []router.Tier{{Targets: []router.Target{{Backend: "memory", Weight: 1}}}}},
	}, router.Options{Builtin: map[string][]string{"bench": {"/proc/self/exe", "child-plugin"}}, NoJanitor: true})
	if err != nil {
		return nil, err
	}
	defer r.Close()
	a, err := r.Create(&atom.EngineCreateRequest{Image: "memory", Context: ctx})
	if err != nil {
		return nil, err
	}
	get := &atom.EngineGetRequest{ID: a.ID(), Context: ctx}
	race, err := alternate(rounds,
		func() (time.Duration, error) {
			return medianOf(callsPerRound, func() error {
				_, err := health.Check(ctx, &grpc_health_v1.HealthCheckRequest{})
				return err
			})
		},
		func() (time.Duration, error) {
			return medianOf(callsPerRound, func() error {
				_, err := r.Get(get)
				return err
			})
		})
	if err != nil {
		return nil, err
	}
	return []figure{{
		slug: "ratio", name: "Get through router and plugin process, engine in memory / gRPC health check, same kind of socket and mTLS", values: race.ratios(), unit: "x", aim: 1.15, atMost: true,
		sides: race, detail: race.against(),
	}}, nil
}
