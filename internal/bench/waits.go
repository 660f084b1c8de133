package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"time"

	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/atom-router/atom-router/atom"
)

const openWaits = 20_000

// waiting is what many Waits took.
type waiting struct {
	wake           time.Duration // from the end of all until the last has returned
	router, plugin float64       // KiB a Wait
	goroutines     float64       // a Wait
	connections    float64       // of all, at the engine
}

// waits opens n of them, looks at them when open says that they are, and has
// them end.
func waits(n, theirs int, one func(n int) error, open func() error, end func() error) (waiting, error) {
	var w waiting
	debug.FreeOSMemory()
	before, them, routines := resident(os.Getpid()), resident(theirs), runtime.NumGoroutine()
	errs := make(chan error, n)
	for i := range n {
		go func() { errs <- one(i) }() // ends with its job
	}
	if err := open(); err != nil {
		select {
		case failed := <-errs: // which may be why
			err = errors.Join(err, failed)
		default:
		}
		return w, err
	}
	debug.FreeOSMemory()
	w.router = float64(resident(os.Getpid())-before) / float64(n) / 1024
	w.plugin = float64(resident(theirs)-them) / float64(n) / 1024
	w.goroutines = float64(runtime.NumGoroutine()-routines) / float64(n)
	began := time.Now()
	if err := end(); err != nil {
		return w, err
	}
	for range n {
		if err := <-errs; err != nil {
			return w, err
		}
	}
	w.wake = time.Since(began)
	return w, nil
}

func eachOf(all []waiting, value func(waiting) float64) (values []float64) {
	for _, w := range all {
		values = append(values, value(w))
	}
	return values
}

// until asks every few milliseconds.
func until(what string, holds func() (bool, error)) error {
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		ok, err := holds()
		switch {
		case ok || err != nil:
			return err
		case time.Now().After(deadline):
			return errors.New(what + " takes too long")
		}
	}
}

// measureWaits tells what open Waits cost on both sides, and how soon all have
// returned when their atoms end at once; beside it as many bare gRPC calls that
// are answered at once, over one connection of the same kind.
func measureWaits(ctx context.Context, rounds int) ([]figure, error) {
	health, pid, stop, err := startHealthServer(ctx)
	if err != nil {
		return nil, err
	}
	defer stop()
	var bare, ours []waiting
	wakes, err := alternate(rounds,
		func() (time.Duration, error) {
			check := func(what string) (*grpc_health_v1.HealthCheckResponse, error) {
				return health.Check(ctx, &grpc_health_v1.HealthCheckRequest{Service: what})
			}
			if _, err := check("about"); err != nil { // which frees what the last round left
				return 0, err
			}
			w, err := waits(openWaits, pid,
				func(int) error { _, err := check("wait"); return err },
				func() error {
					return until("opening bare calls", func() (bool, error) {
						about, err := check("about")
						return err == nil && about.Status == openWaits, err
					})
				},
				func() error { _, err := check("end"); return err })
			bare = append(bare, w)
			return w.wake, err
		},
		func() (time.Duration, error) {
			w, err := routedWaits(ctx)
			ours = append(ours, w)
			return w.wake, err
		})
	if err != nil {
		return nil, err
	}
	bare, ours = bare[1:], ours[1:]
	both := func(w waiting) float64 { return w.router + w.plugin }
	return []figure{
		{slug: "router", name: "Memory of an open Wait at the router, 20,000 open", values: eachOf(ours, func(w waiting) float64 { return w.router }), unit: "KiB"},
		{slug: "plugin", name: "At the plugin", values: eachOf(ours, func(w waiting) float64 { return w.plugin }), unit: "KiB"},
		{slug: "together", name: "On both sides", values: eachOf(ours, both), unit: "KiB", aim: 32, atMost: true},
		{slug: "bare", name: "Of a bare gRPC call that is not answered yet, both sides", values: eachOf(bare, both), unit: "KiB"},
		{slug: "goroutines", name: "Goroutines of an open Wait, both sides", values: eachOf(ours, func(w waiting) float64 { return w.goroutines }), detail: "the caller's among them"},
		{slug: "wake", name: "20,000 atoms end at once, until the last Wait has returned / 20,000 bare gRPC calls", values: wakes.ratios(), unit: "x", sides: wakes, detail: wakes.against()},
	}, nil
}

// routedWaits are those through a router and the plugin of an engine that is
// told when its atoms end.
func routedWaits(ctx context.Context) (waiting, error) {
	e, err := routerOver(ctx, "child-endless")
	if err != nil {
		return waiting{}, err
	}
	defer e.Close()
	before, err := ask(ctx, e)
	if err != nil {
		return waiting{}, err
	}
	var told about
	w, err := waits(openWaits, before.pid,
		func(n int) error {
			_, err := e.Wait(&atom.EngineWaitRequest{ID: fmt.Sprintf("b:%d", n), Context: ctx})
			return err
		},
		func() error {
			return until("opening Waits", func() (bool, error) {
				told, err = ask(ctx, e)
				return told.waits == openWaits, err
			})
		},
		func() error { return e.Stop(&atom.EngineStopRequest{ID: "b:0", Context: ctx}) })
	w.goroutines += float64(told.goroutines-before.goroutines) / openWaits
	return w, err
}
