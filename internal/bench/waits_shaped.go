package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/atom-router/atom-router/atom"
)

// dockerWaits are fewer than openWaits, as each takes a connection of a client
// that waits for it straight, and a process has 20,000 here.
const dockerWaits = 19_000

// mostConnections is how many an engine may have, for however many Waits.
const mostConnections = 32

func connections(w waiting) float64 { return w.connections }

// fewer tells how many connections fewer Waits take, for as many jobs.
func (s *shape) fewer(ctx context.Context, rounds int, to string) ([]figure, error) {
	figures := []figure{
		{slug: "connections-1000", name: "Connections to " + to + ", the most at a time, for 1,000 Waits through router and plugin", aim: mostConnections, atMost: true},
		{slug: "connections-5000", name: "For 5,000", aim: mostConnections, atMost: true},
	}
	for range rounds {
		for i, n := range []int{1_000, 5_000} {
			w, err := s.routedWaits(ctx, n)
			if err != nil {
				return nil, err
			}
			figures[i].values = append(figures[i].values, w.connections)
		}
	}
	return figures, nil
}

// measureDockerWaits compares Waits for containers through router and plugin
// with the Docker client's ContainerWait, a connection for each.
func measureDockerWaits(ctx context.Context, rounds int) ([]figure, error) {
	s, err := newShape(ctx, "docker", dockerWaits)
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
			w, err := s.routedWaits(ctx, dockerWaits)
			ours = append(ours, w)
			return w.wake, err
		})
	if err != nil {
		return nil, err
	}
	straight, ours = straight[1:], ours[1:]
	codes.baseline, codes.subject = codes.baseline[1:], wakes.subject
	figures, err := s.fewer(ctx, rounds, "Docker")
	if err != nil {
		return nil, err
	}
	return append(figures, []figure{
		{slug: "connections", name: "For 19,000", values: eachOf(ours, connections), aim: mostConnections, atMost: true},
		{slug: "connections-straight", name: "For 19,000 ContainerWaits of the Docker client", values: eachOf(straight, connections)},
		{slug: "router", name: "Memory of a Wait for a container at the router", values: eachOf(ours, func(w waiting) float64 { return w.router }), unit: "KiB"},
		{slug: "plugin", name: "At the plugin", values: eachOf(ours, func(w waiting) float64 { return w.plugin }), unit: "KiB"},
		{slug: "client", name: "Of a ContainerWait at the client", values: eachOf(straight, func(w waiting) float64 { return w.router }), unit: "KiB"},
		{slug: "daemon", name: "At the daemon", values: eachOf(straight, func(w waiting) float64 { return w.plugin }), unit: "KiB"},
		{slug: "wake", name: "All containers end at once, until the last Wait has returned / ContainerWaits and an inspect after each", values: wakes.ratios(), unit: "x", sides: wakes, detail: wakes.against()},
		{slug: "wake-code", name: "The same / ContainerWaits alone, which tell the exit code and no more", values: codes.ratios(), unit: "x", sides: codes, detail: codes.against()},
	}...), nil
}

// straightWaits also tells how long the exit codes took.
func (s *shape) straightWaits(ctx context.Context) (w waiting, codes time.Duration, err error) {
	if err := s.start(ctx); err != nil {
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
	if err := s.tidy(); err != nil {
		return w, 0, err
	}
	var connections int
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
		func() (err error) { connections, err = s.opened(dockerWaits); return err }, func() error { began = time.Now(); return s.finish() })
	w.connections = float64(connections)
	return w, codes, err
}

// opened waits until n waits are open at the engine and have left no garbage
// there, and says over how many connections.
func (s *shape) opened(n int) (connections int, err error) {
	err = until("opening waits", func() (bool, error) {
		var open int
		connections, _, open, err = s.open()
		return open == n, err
	})
	if err == nil {
		err = s.tidy()
	}
	return connections, err
}

// routedWaits are n through a new router and plugin. Their connections are the
// most that there were at a time, from the plugin's start until all Waits have
// returned.
func (s *shape) routedWaits(ctx context.Context, n int) (waiting, error) {
	if err := s.start(ctx); err != nil {
		return waiting{}, err
	}
	r, pid, err := s.router(ctx)
	if err != nil {
		return waiting{}, err
	}
	defer r.Close()
	quiet := quietFor(os.Getpid(), pid, s.pid)
	w, err := waits(n, pid,
		func(n int) error {
			a, err := r.Wait(&atom.EngineWaitRequest{ID: s.id(n), Context: ctx})
			if err == nil && a.Result() != atom.Success {
				err = fmt.Errorf("%s ended as %s", a.ID(), a.Result())
			}
			return err
		},
		func() error {
			// A Wait looks before it waits, and none tells that it does: they
			// are open when nobody does anything any more.
			return until("opening Waits", func() (bool, error) { return quiet() > time.Second/2, nil })
		}, s.finish)
	if err != nil {
		return w, err
	}
	_, peak, _, err := s.open()
	w.connections = float64(peak)
	return w, err
}

// id is that of job n's atom.
func (s *shape) id(n int) string {
	if s.plugin == "docker" {
		return "docker:" + dockerID(n)
	}
	return "kube:" + kubeNamespace + "/" + podName(n) + "/" + podUID(n)
}

// quietFor tells, as often as it is asked, for how long the processes have
// used no more processor time than asking takes.
func quietFor(pids ...int) func() time.Duration {
	var used, since = time.Duration(0), time.Now()
	return func() time.Duration {
		now := time.Duration(0)
		for _, pid := range pids {
			now += processorTimeOf(pid)
		}
		if now-used > 50*time.Millisecond {
			used, since = now, time.Now()
		}
		return time.Since(since)
	}
}

// measureKubeWaits compares Waits for pods through router and plugin with
// client-go's watches, one for each pod.
func measureKubeWaits(ctx context.Context, rounds int) ([]figure, error) {
	s, err := newShape(ctx, "kube", openWaits)
	if err != nil {
		return nil, err
	}
	defer s.end()
	var straight, ours []waiting
	wakes, err := alternate(rounds,
		func() (time.Duration, error) {
			w, err := s.watches(ctx)
			straight = append(straight, w)
			return w.wake, err
		},
		func() (time.Duration, error) {
			w, err := s.routedWaits(ctx, openWaits)
			ours = append(ours, w)
			return w.wake, err
		})
	if err != nil {
		return nil, err
	}
	straight, ours = straight[1:], ours[1:]
	figures, err := s.fewer(ctx, rounds, "the API server")
	if err != nil {
		return nil, err
	}
	near, far := func(w waiting) float64 { return w.router }, func(w waiting) float64 { return w.plugin }
	return append(figures, []figure{
		{slug: "connections", name: "For 20,000", values: eachOf(ours, connections), aim: mostConnections, atMost: true},
		{slug: "connections-straight", name: "For 20,000 watches of client-go, one for each pod", values: eachOf(straight, connections)},
		{slug: "router", name: "Memory of a Wait for a pod at the router", values: eachOf(ours, near), unit: "KiB"},
		{slug: "plugin", name: "At the plugin", values: eachOf(ours, far), unit: "KiB"},
		{slug: "client", name: "Of a watch at the client", values: eachOf(straight, near), unit: "KiB"},
		{slug: "server", name: "At the API server", values: eachOf(straight, far), unit: "KiB"},
		{slug: "wake", name: "All pods end at once, until the last Wait has returned / watches", values: wakes.ratios(), unit: "x", sides: wakes, detail: wakes.against()},
	}...), nil
}

// watches are one for each pod, as schedulers wait that have no informer.
func (s *shape) watches(ctx context.Context) (w waiting, err error) {
	if err := s.start(ctx); err != nil {
		return w, err
	}
	pods, done, err := s.pods()
	if err != nil {
		return w, err
	}
	defer done()
	if _, err := pods.Get(ctx, podName(0), metav1.GetOptions{}); err != nil { // which connects
		return w, err
	}
	if err := s.tidy(); err != nil {
		return w, err
	}
	var connections int
	opening := make(chan struct{}, 16) // or Go's transport would make connections that it does not need
	w, err = waits(openWaits, s.pid,
		func(n int) error {
			opening <- struct{}{}
			events, err := pods.Watch(ctx, metav1.ListOptions{FieldSelector: "metadata.name=" + podName(n), ResourceVersion: strconv.Itoa(kubeVersion)})
			<-opening
			if err != nil {
				return err
			}
			defer events.Stop()
			for event := range events.ResultChan() {
				if pod, ok := event.Object.(*corev1.Pod); ok && pod.Status.Phase == corev1.PodSucceeded {
					return nil
				}
			}
			return fmt.Errorf("the watch of %s ended before its pod", podName(n))
		},
		func() (err error) { connections, err = s.opened(openWaits); return err }, s.finish)
	w.connections = float64(connections)
	return w, err
}
