package main

import (
	"context"
	"fmt"
	"os"
	"runtime/debug"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/client"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/client-go/kubernetes"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	restclient "k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/atom-router/atom-router/atom"
)

const listedAtoms = 10_000

// listing is what one list took.
type listing struct {
	first, total   time.Duration
	router, plugin float64 // growth in MiB; of a client used straight, the first
}

// measureList compares lists through router and plugin with a scheduler that
// asks for one job after the other, as they come sorted and as they are found,
// each with a plugin of its own that knows nothing yet.
func measureList(ctx context.Context, rounds int) ([]figure, error) {
	var figures []figure
	for _, plugin := range []string{"docker", "kube"} {
		s, err := startShape(ctx, plugin, listedAtoms)
		if err != nil {
			return nil, err
		}
		f, err := s.compareLists(ctx, rounds)
		s.end()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", plugin, err)
		}
		figures = append(figures, f...)
	}
	return figures, nil
}

func (s *shape) compareLists(ctx context.Context, rounds int) ([]figure, error) {
	ask, what, err := s.straight()
	if err != nil {
		return nil, err
	}
	var serial, sorted, found []listing
	lists, err := alternate(rounds,
		func() (time.Duration, error) {
			l, err := measured(0, ask(ctx))
			serial = append(serial, l)
			return l.total, err
		},
		func() (time.Duration, error) {
			l, err := s.list(ctx, false)
			sorted = append(sorted, l)
			if err == nil {
				var f listing
				f, err = s.list(ctx, true)
				found = append(found, f)
			}
			return l.total, err
		})
	if err != nil {
		return nil, err
	}
	serial, sorted, found = serial[1:], sorted[1:], found[1:] // without the round that warms up
	each := func(of []listing, value func(listing) float64) (values []float64) {
		for _, l := range of {
			values = append(values, value(l))
		}
		return values
	}
	first := func(l listing) float64 { return float64(l.first) / float64(time.Millisecond) }
	router, plugin := func(l listing) float64 { return l.router }, func(l listing) float64 { return l.plugin }
	shaped := map[string]string{"docker": "Docker", "kube": "Kubernetes"}[s.plugin]
	memory := func(slug, name string, values []float64) figure {
		return figure{slug: s.plugin + "/" + slug, name: shaped + ": growth of resident memory meanwhile, " + name, values: values, unit: "MiB"}
	}
	streams := race{baseline: lists.baseline, subject: nil}
	for _, f := range found {
		streams.subject = append(streams.subject, f.total)
	}
	return []figure{
		{slug: s.plugin + "/ratio", name: shaped + ": List of 10,000 atoms, sorted / " + what, values: lists.ratios(), unit: "x", sides: lists, detail: lists.against()},
		{slug: s.plugin + "/stream", name: shaped + ": StreamList / the same", values: streams.ratios(), unit: "x", sides: streams, detail: streams.against()},
		{slug: s.plugin + "/first", name: shaped + ": the first atom of StreamList", values: each(found, first), unit: "ms", aim: 100, atMost: true},
		memory("memory-router", "the router, List", each(sorted, router)),
		memory("memory-router-stream", "the router, StreamList", each(found, router)),
		memory("memory-plugin", "the plugin, List", each(sorted, plugin)),
		memory("memory-plugin-stream", "the plugin, StreamList", each(found, plugin)),
		memory("memory-straight", "the client used straight", each(serial, router)),
	}, nil
}

// list lists through a new router and plugin.
func (s *shape) list(ctx context.Context, stream bool) (listing, error) {
	r, pid, err := s.router(ctx)
	if err != nil {
		return listing{}, err
	}
	defer r.Close()
	return measured(pid, func(found func()) error {
		req := &atom.EngineListRequest{Context: ctx}
		if stream {
			return r.StreamList(req, func(atom.Atom) error { found(); return nil })
		}
		all, err := r.List(req)
		for range all {
			found()
		}
		return err
	})
}

// measured times a list, and watches the memory of this process and of another
// one, if there is one.
func measured(pid int, list func(found func()) error) (listing, error) {
	var l listing
	var n int
	debug.FreeOSMemory()
	ours, theirs := watchMemory(os.Getpid()), watchMemory(pid)
	began := time.Now()
	err := list(func() {
		if n++; n == 1 {
			l.first = time.Since(began)
		}
	})
	l.total = time.Since(began)
	l.router, l.plugin = ours.growthMiB(), theirs.growthMiB()
	if err == nil && n != listedAtoms {
		err = fmt.Errorf("%d atoms of %d", n, listedAtoms)
	}
	return l, err
}

// straight lists as schedulers do that ask for one job after the other, and
// says how.
func (s *shape) straight() (list func(context.Context) func(found func()) error, what string, err error) {
	if s.plugin == "docker" {
		api, err := client.NewClientWithOpts(client.WithHost("unix://"+s.at), client.WithAPIVersionNegotiation())
		return func(ctx context.Context) func(func()) error {
			return func(found func()) error { return inspectAll(ctx, api, found) }
		}, "the Docker client's list and one inspect after the other", err
	}
	pods, _, err := s.pods()
	return func(ctx context.Context) func(func()) error {
		return func(found func()) error {
			for n := range listedAtoms { // which the scheduler knows
				if _, err := pods.Get(ctx, podName(n), metav1.GetOptions{}); err != nil {
					return err
				}
				found()
			}
			return nil
		}
	}, "client-go's GET of one pod after the other", err
}

// pods is client-go with settings like the plugin's, but without limits, and
// what closes its connections.
func (s *shape) pods() (typedcorev1.PodInterface, func(), error) {
	config, err := clientcmd.BuildConfigFromFlags("", s.at)
	if err != nil {
		return nil, nil, err
	}
	config.QPS = -1
	config.ContentType, config.AcceptContentTypes = runtime.ContentTypeProtobuf, runtime.ContentTypeProtobuf
	c, err := restclient.HTTPClientFor(config)
	if err != nil {
		return nil, nil, err
	}
	client, err := kubernetes.NewForConfigAndClient(config, c)
	if err != nil {
		return nil, nil, err
	}
	return client.CoreV1().Pods(kubeNamespace), func() { utilnet.CloseIdleConnectionsFor(c.Transport) }, nil
}

func inspectAll(ctx context.Context, api *client.Client, found func()) error {
	all, err := api.ContainerList(ctx, container.ListOptions{All: true, Filters: filters.NewArgs(filters.Arg("label", atom.LabelOwner+"="+atom.DefaultOwner))})
	if err != nil {
		return err
	}
	for _, c := range all {
		if _, err := api.ContainerInspect(ctx, c.ID); err != nil {
			return err
		}
		found()
	}
	return nil
}
