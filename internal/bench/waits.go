package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"
	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/atom-router/atom-router/atom"
)

const (
	openWaits = 20_000
	// dockerWaits are fewer, as each takes a connection of a client that waits
	// for it straight, and a process has 20,000 here.
	dockerWaits = 19_000
)

// waiting is what many Waits took.
type waiting struct {
	wake                time.Duration // from the end of all until the last has returned
	router, plugin      float64       // KiB a Wait
	goroutines, sockets float64       // a Wait; of all
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
	each := func(of []waiting, value func(waiting) float64) (values []float64) {
		for _, w := range of {
			values = append(values, value(w))
		}
		return values
	}
	both := func(w waiting) float64 { return w.router + w.plugin }
	return []figure{
		{slug: "router", name: "Memory of an open Wait at the router, 20,000 open", values: each(ours, func(w waiting) float64 { return w.router }), unit: "KiB"},
		{slug: "plugin", name: "At the plugin", values: each(ours, func(w waiting) float64 { return w.plugin }), unit: "KiB"},
		{slug: "together", name: "On both sides", values: each(ours, both), unit: "KiB", aim: 32, atMost: true},
		{slug: "bare", name: "Of a bare gRPC call that is not answered yet, both sides", values: each(bare, both), unit: "KiB"},
		{slug: "goroutines", name: "Goroutines of an open Wait, both sides", values: each(ours, func(w waiting) float64 { return w.goroutines }), detail: "the caller's among them"},
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

// measureDockerWaits compares Waits for containers through router and plugin
// with the Docker client's ContainerWait, a connection for each.
func measureDockerWaits(ctx context.Context, rounds int) ([]figure, error) {
	s, err := startShape(ctx, "docker", dockerWaits)
	if err != nil {
		return nil, err
	}
	defer s.end()
	var straight, ours []waiting
	codes := race{} // against exit codes alone
	wakes, err := alternate(rounds,
		func() (time.Duration, error) {
			w, code, err := s.straightWaits(ctx)
			straight, codes.baseline = append(straight, w), append(codes.baseline, code)
			return w.wake, err
		},
		func() (time.Duration, error) {
			w, err := s.routedWaits(ctx)
			ours = append(ours, w)
			return w.wake, err
		})
	if err != nil {
		return nil, err
	}
	straight, ours = straight[1:], ours[1:]
	codes.baseline, codes.subject = codes.baseline[1:], wakes.subject
	each := func(of []waiting, value func(waiting) float64) (values []float64) {
		for _, w := range of {
			values = append(values, value(w))
		}
		return values
	}
	sockets := func(w waiting) float64 { return w.sockets }
	return []figure{
		{slug: "connections", name: "Connections to Docker for 19,000 Waits through router and plugin", values: each(ours, sockets), aim: 32, atMost: true},
		{slug: "connections-straight", name: "For 19,000 ContainerWaits of the Docker client", values: each(straight, sockets)},
		{slug: "router", name: "Memory of a Wait for a container at the router", values: each(ours, func(w waiting) float64 { return w.router }), unit: "KiB"},
		{slug: "plugin", name: "At the plugin", values: each(ours, func(w waiting) float64 { return w.plugin }), unit: "KiB"},
		{slug: "client", name: "Of a ContainerWait at the client", values: each(straight, func(w waiting) float64 { return w.router }), unit: "KiB"},
		{slug: "daemon", name: "At the daemon", values: each(straight, func(w waiting) float64 { return w.plugin }), unit: "KiB"},
		{slug: "wake", name: "All containers end at once, until the last Wait has returned / ContainerWaits and an inspect after each", values: wakes.ratios(), unit: "x", sides: wakes, detail: wakes.against()},
		{slug: "wake-code", name: "The same / ContainerWaits alone, which tell the exit code and no more", values: codes.ratios(), unit: "x", sides: codes, detail: codes.against()},
	}, nil
}

// tell asks the daemon's process something that a daemon is not asked.
func (s *shape) tell(method, what string) (inspections, waits int, err error) {
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", s.at)
	}}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequest(method, "http://docker/"+what, nil)
	if err != nil {
		return 0, 0, err
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return 0, 0, err
	}
	defer resp.Body.Close()
	_, err = fmt.Fscan(resp.Body, &inspections, &waits)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return inspections, waits, err
}

func (s *shape) endAll() error {
	_, _, err := s.tell(http.MethodPost, "end")
	return err
}

// straightWaits also tells how long the exit codes took.
func (s *shape) straightWaits(ctx context.Context) (w waiting, codes time.Duration, err error) {
	if _, _, err := s.tell(http.MethodPost, "begin"); err != nil {
		return w, 0, err
	}
	api, err := client.NewClientWithOpts(client.WithHost("unix://"+s.at), client.WithAPIVersionNegotiation())
	if err != nil {
		return w, 0, err
	}
	defer api.Close()
	if _, err := api.Ping(ctx); err != nil {
		return w, 0, err
	}
	if _, _, err := s.tell(http.MethodPost, "tidy"); err != nil {
		return w, 0, err
	}
	before, err := openFiles(os.Getpid())
	if err != nil {
		return w, 0, err
	}
	var sockets int
	var began time.Time
	var ended atomic.Int64
	inspecting := make(chan struct{}, 16) // as many at a time as the plugin does
	w, err = waits(dockerWaits, s.pid,
		func(n int) error {
			end, failed := api.ContainerWait(ctx, dockerID(n), container.WaitConditionNotRunning)
			select {
			case <-end:
			case err := <-failed:
				return err
			}
			if ended.Add(1) == dockerWaits {
				codes = time.Since(began)
			}
			inspecting <- struct{}{}
			defer func() { <-inspecting }()
			_, err := api.ContainerInspect(ctx, dockerID(n))
			return err
		},
		func() error {
			err := until("opening ContainerWaits", func() (bool, error) {
				_, open, err := s.tell(http.MethodGet, "asked")
				return open == dockerWaits, err
			})
			if err == nil {
				_, _, err = s.tell(http.MethodPost, "tidy")
			}
			if err == nil {
				sockets, err = openFiles(os.Getpid())
			}
			return err
		}, func() error { began = time.Now(); return s.endAll() })
	w.sockets = float64(sockets - before)
	return w, codes, err
}

func (s *shape) routedWaits(ctx context.Context) (waiting, error) {
	if _, _, err := s.tell(http.MethodPost, "begin"); err != nil {
		return waiting{}, err
	}
	r, pid, err := s.router(ctx)
	if err != nil {
		return waiting{}, err
	}
	defer r.Close()
	asked, _, err := s.tell(http.MethodGet, "asked")
	if err != nil {
		return waiting{}, err
	}
	before, err := openFiles(pid)
	if err != nil {
		return waiting{}, err
	}
	var sockets int
	w, err := waits(dockerWaits, pid,
		func(n int) error {
			a, err := r.Wait(&atom.EngineWaitRequest{ID: "docker:" + dockerID(n), Context: ctx})
			if err == nil && a.Result() != atom.Success {
				err = fmt.Errorf("%s ended as %s", a.ID(), a.Result())
			}
			return err
		},
		func() error {
			// A Wait looks before it waits, and none tells that it does; they are
			// open when nobody looks any more.
			last, since := 0, time.Now()
			return until("opening Waits", func() (bool, error) {
				now, _, err := s.tell(http.MethodGet, "asked")
				if now -= asked; now != last {
					last, since = now, time.Now()
				}
				if files, ferr := openFiles(pid); ferr == nil {
					sockets = max(sockets, files)
				}
				return now >= dockerWaits && time.Since(since) > time.Second/2, err
			})
		}, s.endAll)
	w.sockets = float64(sockets - before)
	return w, err
}

func openFiles(pid int) (int, error) {
	entries, err := os.ReadDir(filepath.Join("/proc", fmt.Sprint(pid), "fd"))
	return len(entries), err
}
