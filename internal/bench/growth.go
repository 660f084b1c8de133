package main

import (
	"context"
	"fmt"
	"iter"
	"math/rand/v2"
	"runtime"
	"slices"
	"strconv"
	"time"
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
