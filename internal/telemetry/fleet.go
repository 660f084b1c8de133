package telemetry

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/router"
)

// Fleet is what of a *router.Engine is looked at when Prometheus scrapes.
type Fleet interface {
	Backends() []router.BackendStatus
	ListBackends(req *atom.EngineListRequest, names ...string) ([]atom.Atom, error)
}

// Watch adds what is to be told of a fleet: the state of its backends, and how
// many atoms there are of the owners that owners returns ("" is the config's),
// which is asked at each count. It is called once.
//
// A scrape starts no plugin: only backends that are ready are asked for their
// atoms. They are asked at most every 15 seconds, and less often where the
// counting takes long; between two counts the last one is told.
func (m *Metrics) Watch(f Fleet, owners func() []string) {
	m.registry.MustRegister(&fleet{fleet: f, owners: owners})
}

// Seen of a backend.
var (
	stateDesc    = desc("backend_state", "1 for the state that the backend is in, 0 for the others.", "backend", "state")
	restartsDesc = desc("backend_restarts_total", "Launches of the backend's plugin after the first.", "backend")
	infoDesc     = desc("backend_info", "1; what the backend is. version is empty until the plugin was launched, plugin for an engine inside the router.", "backend", "plugin", "version")
	maxDesc      = desc("backend_max_atoms", "How many atoms the config allows to run there; absent where it sets no limit.", "backend")
	drainDesc    = desc("backend_drain", "1 where the config says that the backend takes no new atoms.", "backend")
	atomsDesc    = desc("atoms", "Atoms that the backend has, by state, at the last count; absent for backends that are not ready or did not answer.", "backend", "state")
)

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(Namespace+"_"+name, help, labels, nil)
}

var (
	backendStates = []router.BackendState{
		router.Idle, router.Starting, router.Ready, router.Degraded, router.BackingOff, router.Draining, router.Failed,
	}
	atomStates = []atom.State{
		atom.Created, atom.Running, atom.Stopping, atom.Stopped, atom.Deleting, atom.Deleted, atom.Invalid,
	}
)

const (
	countEvery   = 15 * time.Second
	countTimeout = 5 * time.Second
	// Counting may take this part of the time.
	countShare = 20
)

// ownCall is the key in the contexts of calls that nobody made but the
// metrics, and that they do not count.
type ownCall struct{}

// fleet is a prometheus.Collector.
type fleet struct {
	fleet  Fleet
	owners func() []string

	mu     sync.Mutex // held while it is counted
	counts map[string]map[atom.State]int
	next   time.Time // when to count again
}

// Describe implements prometheus.Collector.
func (f *fleet) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{stateDesc, restartsDesc, infoDesc, maxDesc, drainDesc, atomsDesc} {
		to <- d
	}
}

// Collect implements prometheus.Collector.
func (f *fleet) Collect(to chan<- prometheus.Metric) {
	tell := func(d *prometheus.Desc, kind prometheus.ValueType, v float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, kind, v, labels...)
	}
	told := make(map[string]bool)
	var ready []string
	for _, s := range f.fleet.Backends() {
		if s.State == router.Ready {
			ready = append(ready, s.Name)
		}
		if told[s.Name] {
			continue // that which replaced it was told of
		}
		told[s.Name] = true
		for _, state := range backendStates {
			tell(stateDesc, prometheus.GaugeValue, truth(s.State == state), s.Name, strings.ReplaceAll(string(state), " ", "_"))
		}
		tell(restartsDesc, prometheus.CounterValue, float64(s.Restarts), s.Name)
		tell(infoDesc, prometheus.GaugeValue, 1, s.Name, s.Plugin, s.Version)
		tell(drainDesc, prometheus.GaugeValue, truth(s.Drain), s.Name)
		if s.MaxAtoms > 0 {
			tell(maxDesc, prometheus.GaugeValue, float64(s.MaxAtoms), s.Name)
		}
	}
	for backend, states := range f.count(ready) {
		for _, state := range atomStates {
			tell(atomsDesc, prometheus.GaugeValue, float64(states[state]), backend, string(state))
		}
	}
}

// count returns how many atoms of each state the ready backends have, by the
// last count where that is recent.
func (f *fleet) count(ready []string) map[string]map[atom.State]int {
	f.mu.Lock()
	defer f.mu.Unlock()
	if time.Now().Before(f.next) {
		return f.counts
	}
	ctx, cancel := context.WithTimeout(context.WithValue(context.Background(), ownCall{}, true), countTimeout)
	defer cancel()
	began := time.Now()
	f.counts = make(map[string]map[atom.State]int)
	var wg sync.WaitGroup
	var mu sync.Mutex // of counts
	for _, backend := range ready {
		wg.Go(func() {
			states := make(map[atom.State]int)
			for _, owner := range f.owners() {
				atoms, err := f.fleet.ListBackends(&atom.EngineListRequest{Owner: owner, Context: ctx}, backend)
				if err != nil {
					return
				}
				for _, a := range atoms {
					states[a.State()]++
				}
			}
			mu.Lock()
			defer mu.Unlock()
			f.counts[backend] = states
		})
	}
	wg.Wait()
	f.next = time.Now().Add(max(countEvery, countShare*time.Since(began)))
	return f.counts
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
