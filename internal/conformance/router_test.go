//go:build linux

package conformance

import (
	"context"
	"encoding/json"
	"os"
	"reflect"
	"testing"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/atom/atomtest"
	"github.com/atom-router/atom-router/plugin"
	"github.com/atom-router/atom-router/router"
)

// settings are decoded already.
type settings map[string]any

func (s settings) Decode(plugin.Schema) ([]byte, error) { return json.Marshal(s) }
func (s settings) Explain(err error) error              { return err }
func (s settings) Equal(other router.Settings) bool     { return reflect.DeepEqual(s, other) }

// label is what the harness picks the backend with.
const label = "backend"

// newRouter returns a router over plugin processes, whose rules send each
// request to the backend that its label names. It is closed with the test.
func newRouter(t *testing.T, owner string, backends ...router.Backend) *router.Engine {
	t.Helper()
	e, err := routerOver(owner, backends...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}

func routerOver(owner string, backends ...router.Backend) (*router.Engine, error) {
	return routerWith(owner, router.Options{NoJanitor: true}, backends...)
}

func routerWith(owner string, o router.Options, backends ...router.Backend) (*router.Engine, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c := router.Config{Owner: owner, Backends: backends}
	o.Builtin = make(map[string][]string)
	for _, b := range backends {
		name, err := router.ParsePattern(b.Name)
		if err != nil {
			return nil, err
		}
		o.Builtin[b.Plugin] = []string{self, servePlugin, b.Plugin}
		c.Rules = append(c.Rules, router.Rule{
			Name:  b.Name,
			Match: router.Match{Labels: map[string][]router.Pattern{label: {name}}},
			Tiers: []router.Tier{{Targets: []router.Target{{Backend: b.Name, Weight: 1}}}},
		})
	}
	return router.New(context.Background(), c, o)
}

// capabilities are those of one backend, which must be ready.
func capabilities(t *testing.T, e *router.Engine, backend string) atom.Capabilities {
	t.Helper()
	all, err := e.ProbeBackends(t.Context(), backend)
	if err != nil {
		t.Fatal(err)
	}
	if all[0].State != router.Ready {
		t.Fatalf("backend %s is %s: %v", backend, all[0].State, all[0].LastError)
	}
	return all[0].Capabilities
}

func TestRouterOverProcess(t *testing.T) {
	program, err := atomtest.BuildProbe(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	atomtest.Run(t, atomtest.Harness{New: func(t *testing.T) *atomtest.Env {
		e := newRouter(t, "router-over-process", processBackend(t))
		return &atomtest.Env{
			Engine: e, Capabilities: capabilities(t, e, "host"),
			Program: program, Labels: map[string]string{label: "host"}, Scratch: t.TempDir(),
		}
	}})
}

func processBackend(t *testing.T) router.Backend {
	return router.Backend{Name: "host", Plugin: "process", Settings: settings{"state_dir": t.TempDir()}}
}
