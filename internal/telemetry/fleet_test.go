package telemetry

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/router"
)

// lists is a Fleet that writes down who was asked for atoms.
type lists struct {
	status []router.BackendStatus
	takes  time.Duration

	mu    sync.Mutex
	asked []string
}

func (l *lists) Backends() []router.BackendStatus { return l.status }

func (l *lists) ListBackends(r *atom.EngineListRequest, names ...string) ([]atom.Atom, error) {
	l.mu.Lock()
	l.asked = append(l.asked, names[0]+" of "+r.Owner)
	l.mu.Unlock()
	select {
	case <-time.After(l.takes):
	case <-r.Context.Done():
		return nil, r.Context.Err()
	}
	if names[0] == "mute" {
		return nil, errors.New("no answer")
	}
	return []atom.Atom{atom.New(atom.Info{State: atom.Running}, nil), atom.New(atom.Info{State: atom.Stopped}, nil)}, nil
}

func (l *lists) taken() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	asked := l.asked
	l.asked = nil
	slices.Sort(asked)
	return asked
}

// scrape returns the gauges that metrics tell, as "name{label="value",…}"
// without the prefix.
func scrape(t *testing.T, m *Metrics) map[string]float64 {
	t.Helper()
	all, err := m.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	series := make(map[string]float64)
	for _, f := range all {
		for _, one := range f.Metric {
			var labels []string
			for _, l := range one.Label {
				labels = append(labels, fmt.Sprintf("%s=%q", l.GetName(), l.GetValue()))
			}
			series[strings.TrimPrefix(f.GetName(), Namespace+"_")+"{"+strings.Join(labels, ",")+"}"] = one.GetGauge().GetValue()
		}
	}
	return series
}

func TestCountsAtoms(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &lists{status: []router.BackendStatus{
			{Name: "a", State: router.Ready}, {Name: "mute", State: router.Ready}, {Name: "down", State: router.Degraded},
			{Name: "idle", State: router.Idle}, {Name: "lost", State: router.BackingOff}, {Name: "a", State: router.Draining},
		}}
		m := NewMetrics("")
		m.Watch(l, func() []string { return []string{"x", "y"} })
		check := func(what string, want []string, running float64) {
			t.Helper()
			got := scrape(t, m)
			if diff := cmp.Diff(want, l.taken()); diff != "" {
				t.Errorf("%s: asked (-want +got):\n%s", what, diff)
			}
			atoms, told := got[`atoms{backend="a",state="running"}`]
			if told != (running >= 0) || told && atoms != running {
				t.Errorf("%s: %v running (told: %v), want %v", what, atoms, told, running)
			}
			for _, other := range []string{"mute", "down", "idle", "lost"} {
				if n, ok := got[`atoms{backend="`+other+`",state="running"}`]; ok {
					t.Errorf("%s: %v atoms of %s", what, n, other)
				}
			}
			for _, state := range []string{`backend_state{backend="a",state="ready"}`, `backend_state{backend="lost",state="backing_off"}`} {
				if got[state] != 1 {
					t.Errorf("%s: %s is %v", what, state, got[state])
				}
			}
		}
		both := []string{"a of x", "a of y", "mute of x"}
		check("first", both, 2)
		time.Sleep(countEvery - time.Second)
		check("soon", nil, 2)
		time.Sleep(2 * time.Second)
		l.takes = 2 * time.Second
		check("later", both, 2)
		time.Sleep(countEvery + time.Second)
		check("after one that took long", nil, 2)
		time.Sleep(time.Hour)
		l.takes = time.Hour // it hangs
		began := time.Now()
		check("hanging", []string{"a of x", "mute of x"}, -1)
		if took := time.Since(began); took > scrapeTimeout {
			t.Errorf("took %v", took)
		}
	})
}
