package main

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/plugin"
	"github.com/atom-router/atom-router/plugins/kube"
)

const (
	idlePods = 500
	// A real node of two cores starts three a second or so.
	realPods = 20
	// livesPerCount is over how many atoms API requests are counted.
	livesPerCount = 200
	waitersEach   = 5
	finishedPods  = 5000
	getsPerRound  = 300
)

// measureKubeCreate compares many pods created and waited for through router
// and plugin with the same by client-go and its shared informer.
func measureKubeCreate(ctx context.Context, rounds int) ([]figure, error) {
	var figures []figure
	for _, kind := range []struct {
		slug   string
		name   string
		pods   int
		idle   bool
		limits limits
		aim    float64
	}{
		{"usual", "500 pods created and waited for through router and plugin / client-go with its shared informer, both with the plugin's usual 100 requests a second and a burst of 200", idlePods, true, usual, 1.15},
		{"wide", "The same with limits so wide that the processors are the limit", idlePods, true, wide, 0},
		{"real", "20 pods on the real node / client-go", realPods, false, usual, 1.15},
	} {
		c, err := startCluster(ctx, kind.idle, kind.limits)
		if err != nil {
			return nil, err
		}
		f, err := c.compareCreates(ctx, rounds, kind.pods)
		c.stop()
		if err != nil {
			return nil, err
		}
		f.slug, f.name, f.aim = kind.slug, kind.name, kind.aim
		figures = append(figures, f)
	}
	return figures, nil
}

func (c *cluster) compareCreates(ctx context.Context, rounds, pods int) (figure, error) {
	straight, stop, err := c.startStraight(ctx)
	if err != nil {
		return figure{}, err
	}
	defer stop()
	r, err := alternate(rounds,
		func() (time.Duration, error) {
			settle()
			names := make([]string, pods)
			took, err := timed(func() error {
				return all(pods, func(i int) error {
					var err error
					names[i], err = straight.run(ctx)
					return err
				})
			})
			return took, joinCleanup(err, all(pods, func(i int) error {
				return c.admin.CoreV1().Pods(c.namespace).Delete(ctx, names[i], metav1.DeleteOptions{})
			}))
		},
		func() (time.Duration, error) {
			settle()
			ids := make([]string, pods)
			took, err := timed(func() error {
				return all(pods, func(i int) error {
					var err error
					ids[i], err = c.run(ctx)
					return err
				})
			})
			return took, joinCleanup(err, all(pods, func(i int) error {
				return c.router.Delete(&atom.EngineDeleteRequest{ID: ids[i], Context: ctx})
			}))
		})
	if err != nil {
		return figure{}, err
	}
	return figure{
		values: r.ratios(), unit: "x", atMost: true, sides: r, detail: r.against(),
	}, nil
}

// settle leaves the cluster's controllers time for what they do about the pods
// that were deleted last, and clients for their limits to be whole again, or
// both would be counted for the next pods.
func settle() { time.Sleep(3 * time.Second) }

// joinCleanup prefers what went wrong in the measurement.
func joinCleanup(err, cleanup error) error {
	if err != nil {
		return err
	}
	return cleanup
}

// run is a job's way through router and plugin.
func (c *cluster) run(ctx context.Context) (id string, err error) {
	a, err := c.router.Create(&atom.EngineCreateRequest{Image: c.image, Context: ctx})
	if err != nil {
		return "", err
	}
	id = a.ID()
	a, err = c.router.Wait(&atom.EngineWaitRequest{ID: id, Context: ctx})
	if err == nil && a.Result() != atom.Success {
		err = fmt.Errorf("%s ended as %s", id, a.Result())
	}
	return id, err
}

// measureKubeRequests counts, at the API server, what an atom's life costs it:
// Create, several Waits, many Gets, Delete.
func measureKubeRequests(ctx context.Context, rounds int) ([]figure, error) {
	c, err := startCluster(ctx, true, wide)
	if err != nil {
		return nil, err
	}
	defer c.stop()
	requests := figure{slug: "requests", name: "Requests to the API server in an atom's life", aim: 2.5, atMost: true, detail: fmt.Sprintf("create, %d waits, 20 gets, delete; what the test's kubelet asks is not counted", waitersEach)}
	watches := figure{slug: "watches", name: "Watches for 1,000 waiters", aim: 1, atMost: true, detail: "beside those of the cluster's own parts"}
	before, err := c.count(ctx)
	if err != nil {
		return nil, err
	}
	idle := before.watches
	for round := range rounds + 1 {
		var at counts
		err := all(livesPerCount, func(i int) error { return c.live(ctx, i, func() { at, _ = c.count(ctx) }) })
		if err != nil {
			return nil, err
		}
		after, err := c.count(ctx)
		if err != nil {
			return nil, err
		}
		if round > 0 { // the first starts the plugin and its watch
			requests.values = append(requests.values, (after.requests-before.requests)/livesPerCount)
			watches.values = append(watches.values, at.watches-idle)
		}
		before = after
	}
	return []figure{requests, watches}, nil
}

// live is an atom's life; half-way through the first, look is called.
func (c *cluster) live(ctx context.Context, i int, look func()) error {
	a, err := c.router.Create(&atom.EngineCreateRequest{Image: c.image, Context: ctx})
	if err != nil {
		return err
	}
	var waits sync.WaitGroup
	errs := make([]error, waitersEach)
	for w := range waitersEach {
		waits.Go(func() { _, errs[w] = c.router.Wait(&atom.EngineWaitRequest{ID: a.ID(), Context: ctx}) })
	}
	for range 20 {
		if _, err := c.router.Get(&atom.EngineGetRequest{ID: a.ID(), Context: ctx}); err != nil {
			return err
		}
	}
	if i == 0 {
		look()
	}
	waits.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return c.router.Delete(&atom.EngineDeleteRequest{ID: a.ID(), Context: ctx})
}

// counts are what the API server says of requests for pods.
type counts struct{ requests, watches float64 }

// count reads the API server's own metrics
// (https://kubernetes.io/docs/reference/instrumentation/metrics/).
func (c *cluster) count(ctx context.Context) (counts, error) {
	text, err := c.admin.RESTClient().Get().AbsPath("/metrics").DoRaw(ctx)
	if err != nil {
		return counts{}, err
	}
	var n counts
	for line := range strings.Lines(string(text)) {
		name, rest, ok := strings.Cut(line, "{")
		if !ok || !strings.Contains(rest, `resource="pods"`) {
			continue
		}
		_, value, _ := strings.Cut(rest, "} ")
		v, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
		if err != nil {
			return counts{}, err
		}
		switch {
		case name == "apiserver_longrunning_requests" && strings.Contains(rest, `verb="WATCH"`):
			n.watches += v
		case name == "apiserver_request_total" && !strings.Contains(rest, `verb="WATCH"`) && !strings.Contains(rest, `subresource="status"`):
			n.requests += v
		}
	}
	return n, nil
}

// measureKubeGet compares a GET at the API server with the engine's Get, which
// the watch serves.
func measureKubeGet(ctx context.Context, rounds int) ([]figure, error) {
	c, err := startCluster(ctx, true, wide)
	if err != nil {
		return nil, err
	}
	defer c.stop()
	e, err := c.engine(ctx)
	if err != nil {
		return nil, err
	}
	defer e.Close()
	a, err := e.Create(&atom.EngineCreateRequest{Image: c.image, Context: ctx})
	if err != nil {
		return nil, err
	}
	if _, err := e.Wait(&atom.EngineWaitRequest{ID: a.ID(), Context: ctx}); err != nil {
		return nil, err
	}
	get := &atom.EngineGetRequest{ID: a.ID(), Context: ctx}
	name := strings.Split(a.ID(), "/")[1]
	r, err := alternate(rounds,
		func() (time.Duration, error) {
			return medianOf(getsPerRound, func() error { _, err := e.Get(get); return err })
		},
		func() (time.Duration, error) {
			return medianOf(getsPerRound, func() error {
				_, err := c.straight.CoreV1().Pods(c.namespace).Get(ctx, name, metav1.GetOptions{})
				return err
			})
		})
	if err != nil {
		return nil, err
	}
	return []figure{{
		slug: "ratio", name: "GET at the API server / Get of the engine called directly", values: r.ratios(), unit: "x", aim: 10,
		sides: r, detail: r.against(),
	}}, nil
}

func (c *cluster) engine(ctx context.Context) (*kube.Engine, error) {
	return kube.New(ctx, kube.Config{Kubeconfig: c.kubeconfig, Namespace: c.namespace, QPS: float64(c.limits.qps), Burst: c.limits.burst, Template: c.template()}, nil)
}

// measureKubeMemory tells how much memory a plugin takes that knows many atoms.
func measureKubeMemory(ctx context.Context, rounds int) ([]figure, error) {
	c, err := startCluster(ctx, true, wide)
	if err != nil {
		return nil, err
	}
	defer c.stop()
	if err := all(finishedPods, func(int) error { _, err := c.run(ctx); return err }); err != nil {
		return nil, err
	}
	f := figure{slug: "plugin", name: "Resident memory of a plugin that knows 5,000 finished atoms", unit: "MiB", aim: 150, atMost: true, detail: "resident, after a list"}
	for range rounds {
		mib, err := c.memoryOfPlugin(ctx)
		if err != nil {
			return nil, err
		}
		f.values = append(f.values, mib)
	}
	return []figure{f}, nil
}

func (c *cluster) memoryOfPlugin(ctx context.Context) (float64, error) {
	path := filepath.Join(c.dir, "atom-plugin-kube")
	routers, err := childNamed(path)
	if err != nil {
		return 0, err
	}
	p, err := plugin.Launch(ctx, plugin.LaunchOptions{Name: "memory", Path: path})
	if err != nil {
		return 0, err
	}
	defer p.Close()
	settings, err := json.Marshal(map[string]any{"kubeconfig": c.kubeconfig, "namespace": c.namespace})
	if err != nil {
		return 0, err
	}
	if err := p.Configure(ctx, settings); err != nil {
		return 0, err
	}
	// The first starts the watch; what it holds shows in the later ones.
	for range 3 {
		list, err := p.Engine().List(&atom.EngineListRequest{Context: ctx})
		if err != nil {
			return 0, err
		}
		if len(list) != finishedPods {
			return 0, fmt.Errorf("the plugin lists %d atoms of %d", len(list), finishedPods)
		}
		time.Sleep(time.Second)
	}
	pid, err := childNamed(path, routers)
	return float64(resident(pid)) / (1 << 20), err
}
