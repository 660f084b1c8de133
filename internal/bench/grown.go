package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/atom/atomtest/memengine"
	"github.com/atom-router/atom-router/router"
)

// grown is a router whose backends have engines in their plugins' memory, with
// atoms that have ended.
type grown struct {
	router   *router.Engine
	backends int
	ids      []string
	turn     int                  // the backend that a round's calls go to
	keys     []string             // by which the rule for any backend chooses that one; none where that is not measured
	times    map[string][]float64 // µs, one a round
}

func grow(ctx context.Context, backends, atoms int) (*grown, error) {
	cfg := router.Config{Default: router.Rule{Reject: "every request says where to"}}
	rule := func(name string, targets ...router.Target) error {
		to, err := router.ParsePattern(name)
		cfg.Rules = append(cfg.Rules, router.Rule{
			Name: name, Match: router.Match{Labels: map[string][]router.Pattern{"to": {to}}},
			Tiers: []router.Tier{{Targets: targets}},
		})
		return err
	}
	var targets []router.Target
	for n := range backends {
		target := router.Target{Backend: "b" + strconv.Itoa(n), Weight: 1}
		if err := rule(target.Backend, target); err != nil {
			return nil, err
		}
		cfg.Backends = append(cfg.Backends, router.Backend{Name: target.Backend, Plugin: "bench"})
		targets = append(targets, target)
	}
	if err := rule("any", targets...); err != nil {
		return nil, err
	}
	r, err := router.New(ctx, cfg, router.Options{Builtin: map[string][]string{"bench": {"/proc/self/exe", "child-plugin"}}, NoJanitor: true})
	if err != nil {
		return nil, err
	}
	g := &grown{router: r, backends: backends, ids: make([]string, atoms), times: map[string][]float64{}}
	err = all(atoms, func(n int) error {
		a, err := g.create(ctx, n, "there-"+strconv.Itoa(n))
		if err != nil {
			return err
		}
		g.ids[n] = a.ID()
		_, err = r.Wait(&atom.EngineWaitRequest{ID: a.ID(), Context: ctx})
		return err
	})
	if err != nil {
		r.Close()
		return nil, err
	}
	return g, nil
}

// create makes an atom at one backend.
func (g *grown) create(ctx context.Context, n int, key string) (atom.Atom, error) {
	return g.router.Create(request(ctx, "b"+strconv.Itoa(n%g.backends), key))
}

// request is for an atom that prints a line and ends at once, under the rule
// of that name.
func request(ctx context.Context, rule, key string) *atom.EngineCreateRequest {
	r := &atom.EngineCreateRequest{Image: memengine.Image, Key: key, Context: ctx}
	r.Spec.Labels = map[string]string{"to": rule}
	return r
}

// draw draws Keys until there is one for each cycle by which the rule for any
// backend chooses the one whose turn it is.
func (g *grown) draw(ctx context.Context) error {
	g.keys = nil
	for turn := "b" + strconv.Itoa(g.turn); len(g.keys) < cycles; {
		key := atom.NewKey()
		d, err := g.router.Explain(ctx, request(ctx, "any", key))
		if err != nil {
			return err
		}
		if d.Candidates[0].Backend == turn {
			g.keys = append(g.keys, key)
		}
	}
	return nil
}

// step is one call.
type step struct {
	op   string
	call func(context.Context) error
}

// life is an atom's, with calls about others that are there.
func (g *grown) life(n int) []step {
	var id string
	// The atoms of backend n are n, n+backends, ...
	other := g.ids[g.turn+g.backends*rand.IntN(len(g.ids)/g.backends)]
	steps := []step{
		{"create", func(ctx context.Context) error {
			a, err := g.create(ctx, g.turn, "")
			if err == nil {
				id = a.ID()
			}
			return err
		}},
		{"end", g.wait(&id)}, // which nobody looks at
		{"get", func(ctx context.Context) error {
			_, err := g.router.Get(&atom.EngineGetRequest{ID: other, Context: ctx})
			return err
		}},
		{"wait", g.wait(&other)},
		{"logs", func(ctx context.Context) error {
			logs, err := g.router.Logs(&atom.EngineLogsRequest{ID: other, Context: ctx})
			if err != nil {
				return err
			}
			defer logs.Close()
			_, err = io.Copy(io.Discard, logs)
			return err
		}},
		{"stop", func(ctx context.Context) error {
			return g.router.Stop(&atom.EngineStopRequest{ID: other, Context: ctx})
		}},
		{"delete", g.delete(&id)},
	}
	if len(g.keys) > 0 {
		steps = append(steps, g.anywhere("create-tier", g.keys[n], true)...)
	}
	return steps
}

// keyed is the life of an atom under a caller's Key that no backend has.
func (g *grown) keyed() []step { return g.anywhere("create-key", atom.NewKey(), false) }

// anywhere is the life of an atom under the rule for any backend. A fresh Key is
// what the router makes up where the caller gives none.
func (g *grown) anywhere(op, key string, fresh bool) []step {
	var id string
	return []step{
		{op, func(ctx context.Context) error {
			r := request(ctx, "any", key)
			r.FreshKey = fresh
			a, err := g.router.Create(r)
			if err == nil {
				id = a.ID()
			}
			return err
		}},
		{"end", g.wait(&id)},
		{"end", g.delete(&id)},
	}
}

func (g *grown) wait(id *string) func(context.Context) error {
	return func(ctx context.Context) error {
		_, err := g.router.Wait(&atom.EngineWaitRequest{ID: *id, Context: ctx})
		return err
	}
}

func (g *grown) delete(id *string) func(context.Context) error {
	return func(ctx context.Context) error {
		return g.router.Delete(&atom.EngineDeleteRequest{ID: *id, Context: ctx})
	}
}

func (g *grown) lookups() []step {
	key := "there-" + strconv.Itoa(g.turn+g.backends*rand.IntN(len(g.ids)/g.backends))
	return []step{{"lookup", func(ctx context.Context) error {
		_, err := g.router.Lookup(&atom.EngineLookupRequest{Key: key, Context: ctx})
		return err
	}}}
}

func (g *grown) lists() []step {
	return []step{{"list", func(ctx context.Context) error {
		atoms, err := g.router.List(&atom.EngineListRequest{Context: ctx})
		if err == nil && len(atoms) != len(g.ids) {
			err = fmt.Errorf("%d atoms, not %d", len(atoms), len(g.ids))
		}
		return err
	}}}
}
