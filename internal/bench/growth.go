package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
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
		{name: "atoms", sizes: []int{10, 100, 1000, 10_000}, backends: func(int) int { return 1 }, atoms: func(n int) int { return n }},
		{name: "backends", sizes: []int{1, 10, 100}, backends: func(n int) int { return n }, atoms: func(int) int { return spreadAtoms }},
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
	backends, atoms func(size int) int
}

// operations are those whose cost is measured, as they stand in the table.
var operations = []string{"create", "get", "wait", "logs", "stop", "delete", "lookup", "list"}

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
		if err := takeRound(ctx, fleets, round > 0); err != nil {
			return nil, err
		}
	}
	var figures []figure
	for _, op := range operations {
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
	times    map[string][]float64 // µs, one a round
}

func grow(ctx context.Context, backends, atoms int) (*grown, error) {
	cfg := router.Config{Default: router.Rule{Reject: "every request names its backend"}}
	for n := range backends {
		name := "b" + strconv.Itoa(n)
		to, err := router.ParsePattern(name)
		if err != nil {
			return nil, err
		}
		cfg.Backends = append(cfg.Backends, router.Backend{Name: name, Plugin: "bench"})
		cfg.Rules = append(cfg.Rules, router.Rule{
			Name: name, Match: router.Match{Labels: map[string][]router.Pattern{"to": {to}}},
			Tiers: []router.Tier{{Targets: []router.Target{{Backend: name, Weight: 1}}}},
		})
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

// create makes an atom that prints a line and ends at once.
func (g *grown) create(ctx context.Context, n int, key string) (atom.Atom, error) {
	r := &atom.EngineCreateRequest{Image: memengine.Image, Key: key, Context: ctx}
	r.Spec.Labels = map[string]string{"to": "b" + strconv.Itoa(n%g.backends)}
	return g.router.Create(r)
}

// takeRound takes the median time of each operation in each fleet. The fleets
// take turns atom by atom, and leave as many atoms as there were.
//
// The calls of a round go to one backend of each fleet: a process that has
// slept answers late, which is not what grows with the number of backends.
func takeRound(ctx context.Context, fleets []*grown, counts bool) error {
	took := make([]map[string][]float64, len(fleets))
	for i, g := range fleets {
		took[i], g.turn = map[string][]float64{}, rand.IntN(g.backends)
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
		for i, g := range fleets {
			if err := live(i, g.life(), n >= cycles/5); err != nil { // the first wake the processes
				return err
			}
		}
	}
	// Lookup and List ask all backends, and leave them busy.
	for i, g := range fleets {
		for n := range cycles / 4 {
			if err := live(i, g.lookups(), n >= cycles/20); err != nil { // the first wake the processes here too
				return err
			}
		}
	}
	for i, g := range fleets {
		for range cycles / 40 {
			if err := live(i, g.lists(), true); err != nil {
				return err
			}
		}
		time.Sleep(100 * time.Millisecond)
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

// step is one call.
type step struct {
	op   string
	call func(context.Context) error
}

// life is an atom's, with calls about others that are there.
func (g *grown) life() []step {
	var id string
	// The atoms of backend n are n, n+backends, ...
	other := g.ids[g.turn+g.backends*rand.IntN(len(g.ids)/g.backends)]
	wait := func(id *string) func(context.Context) error {
		return func(ctx context.Context) error {
			_, err := g.router.Wait(&atom.EngineWaitRequest{ID: *id, Context: ctx})
			return err
		}
	}
	return []step{
		{"create", func(ctx context.Context) error {
			a, err := g.create(ctx, g.turn, "")
			if err == nil {
				id = a.ID()
			}
			return err
		}},
		{"end", wait(&id)}, // which nobody looks at
		{"get", func(ctx context.Context) error {
			_, err := g.router.Get(&atom.EngineGetRequest{ID: other, Context: ctx})
			return err
		}},
		{"wait", wait(&other)},
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
		{"delete", func(ctx context.Context) error {
			return g.router.Delete(&atom.EngineDeleteRequest{ID: id, Context: ctx})
		}},
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
