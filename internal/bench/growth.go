package main

import (
	"context"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"runtime"
	"slices"
	"strconv"
	"time"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/atom/atomtest/memengine"
	"github.com/atom-router/atom-router/router"
)

const (
	// cycles is how many atoms live through all operations in a round, at
	// each size.
	cycles = 200
	// spreadAtoms are what the backends of the second axis hold together.
	spreadAtoms = 1000
)

// measureGrowth tells what operations cost with many atoms, and with many
// backends. All sizes take turns in each round, and a figure is the cost at
// the largest against that at the smallest.
func measureGrowth(ctx context.Context, rounds int) (figures []figure, err error) {
	for _, axis := range []axis{
		{name: "atoms", sizes: []int{10, 100, 1000, 10_000}, operations: operations, backends: func(int) int { return 1 }, atoms: func(n int) int { return n }},
		{name: "backends", sizes: []int{1, 10, 100}, operations: slices.Concat(operations, spread), backends: func(n int) int { return n }, atoms: func(int) int { return spreadAtoms }},
	} {
		more, err := axis.measure(ctx, rounds)
		if err != nil {
			return nil, fmt.Errorf("growth over %s: %w", axis.name, err)
		}
		figures = append(figures, more...)
	}
	kept, err := keptOfAtoms(ctx, rounds)
	return append(figures, kept), err
}

// axis is what grows.
type axis struct {
	name            string
	sizes           []int
	operations      []string
	backends, atoms func(size int) int
}

// operations are those whose cost is measured, as they stand in the table, and
// spread those that only differ where there are many backends: Creates under a
// rule that may choose any of them, without a caller's Key and with one.
var (
	operations = []string{"create", "get", "wait", "logs", "stop", "delete", "lookup", "list"}
	spread     = []string{"create-tier", "create-key"}
)

func (x axis) measure(ctx context.Context, rounds int) ([]figure, error) {
	fleets := make([]*grown, len(x.sizes))
	for i, size := range x.sizes {
		g, err := grow(ctx, x.backends(size), x.atoms(size))
		if err != nil {
			return nil, err
		}
		defer g.router.Close()
		fleets[i] = g
	}
	for round := range rounds + 1 { // the first warms all up
		if err := x.takeRound(ctx, fleets, round > 0); err != nil {
			return nil, err
		}
	}
	var figures []figure
	for _, op := range x.operations {
		least, most := fleets[0], fleets[len(fleets)-1]
		f := figure{
			slug: x.name + "/" + op, unit: "x", aim: 1.25, atMost: true,
			name: fmt.Sprintf("%s with %s %s / with %d", op, thousands(x.sizes[len(x.sizes)-1]), x.name, x.sizes[0]),
		}
		each := 1.0 // what the larger one may cost more, being about more
		switch {
		case x.name == "atoms" && op == "list":
			// Below a thousand the call itself is what costs.
			least, each = fleets[len(fleets)-2], 10
			f.name = "list with 10,000 atoms / with 1,000, for each atom"
		case op == "create-tier":
			f.name = "create under a rule of 100 backends / of 1"
		case op == "create-key":
			// Under a rule of one backend no Key is looked up.
			least, each = fleets[len(fleets)-2], 10
			f.name = "create under a Key and a rule of 100 backends / of 10, for each backend asked"
		case op == "list" || op == "lookup":
			if x.name == "backends" {
				each = float64(x.sizes[len(x.sizes)-1])
				f.name += ", for each backend asked"
			}
		}
		for n := range most.times[op] {
			f.values = append(f.values, most.times[op][n]/least.times[op][n]/each)
		}
		f.detail = fmt.Sprintf("%.0f µs against %.0f µs", median(most.times[op]), median(least.times[op]))
		figures = append(figures, f)
		for i, size := range x.sizes {
			figures = append(figures, figure{slug: fmt.Sprintf("op=%s/%s=%d", op, x.name, size), values: fleets[i].times[op], unit: "µs"})
		}
	}
	return figures, nil
}

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

// takeRound takes the median time of each operation in each fleet. The fleets
// take turns atom by atom, and leave as many atoms as there were.
//
// The calls of a round go to one backend of each fleet: a process that has
// slept answers late, which is not what grows with the number of backends. For
// Creates under the rule for any of them Keys are drawn that lead there too; the
// router ranks all of them whichever comes first.
func (x axis) takeRound(ctx context.Context, fleets []*grown, counts bool) error {
	took := make([]map[string][]float64, len(fleets))
	for i, g := range fleets {
		took[i], g.turn = map[string][]float64{}, rand.IntN(g.backends)
		if slices.Contains(x.operations, "create-tier") {
			if err := g.draw(ctx); err != nil {
				return err
			}
		}
	}
	live := func(i int, steps []step, counts bool) error {
		for _, s := range steps {
			began := time.Now()
			if err := s.call(ctx); err != nil {
				return fmt.Errorf("%s: %w", s.op, err)
			}
			if counts {
				took[i][s.op] = append(took[i][s.op], float64(time.Since(began))/float64(time.Microsecond))
			}
		}
		return nil
	}
	for n := range cycles {
		for i, g := range inTurn(fleets, n) {
			if err := live(i, g.life(n), n >= cycles/5); err != nil { // the first wake the processes
				return err
			}
		}
	}
	// These ask all backends, and leave them busy: the fleets take turns in
	// small blocks, before which the last one's come to rest.
	for _, ask := range []struct {
		op            string
		steps         func(*grown) []step
		warm, counted int
	}{
		{"lookup", (*grown).lookups, 5, 10},
		{"create-key", (*grown).keyed, 5, 10},
		{"list", (*grown).lists, 1, 2},
	} {
		if !slices.Contains(x.operations, ask.op) {
			continue
		}
		for block := range 4 { // an even number: each goes first as often as last
			for i, g := range inTurn(fleets, block) {
				time.Sleep(20 * time.Millisecond)
				for n := range ask.warm + ask.counted {
					if err := live(i, ask.steps(g), n >= ask.warm); err != nil { // the first wake the processes here too
						return err
					}
				}
			}
		}
	}
	runtime.GC()
	for i, g := range fleets {
		for op, times := range took[i] {
			if counts {
				g.times[op] = append(g.times[op], median(times))
			}
		}
	}
	return nil
}

// inTurn are the fleets forwards, and backwards every other time: whoever comes
// later finds what the others left to be done.
func inTurn(fleets []*grown, n int) iter.Seq2[int, *grown] {
	if n%2 == 1 {
		return slices.Backward(fleets)
	}
	return slices.All(fleets)
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

// keptOfAtoms tells what the router itself keeps of atoms that are there: its
// heap with 10,000 of them beyond its heap with one.
func keptOfAtoms(ctx context.Context, rounds int) (figure, error) {
	f := figure{slug: "kept", name: "What the router keeps in memory of 10,000 atoms", unit: "KiB", aim: 64, atMost: true}
	for range rounds {
		g, err := grow(ctx, 1, 1)
		if err != nil {
			return figure{}, err
		}
		before := heap()
		err = all(10_000, func(n int) error {
			_, err := g.create(ctx, n, "more-"+strconv.Itoa(n))
			return err
		})
		after := heap()
		if err := g.router.Close(); err != nil {
			return figure{}, err
		}
		if err != nil {
			return figure{}, err
		}
		f.values = append(f.values, max(0, float64(after)-float64(before))/1024)
	}
	return f, nil
}

// heap is what is in use of this process's heap, in bytes.
func heap() uint64 {
	runtime.GC()
	runtime.GC() // what pools still held
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// thousands is a number as people read it.
func thousands(n int) string {
	if n < 10_000 {
		return strconv.Itoa(n)
	}
	return fmt.Sprintf("%d,%03d", n/1000, n%1000)
}
