package main

import (
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"sync"

	"github.com/atom-router/atom-router/internal/rendezvous"
)

// node is a backend with its weight.
type node struct {
	name   string
	weight int
}

// nodes are n backends of weights 1, 2 and 4: half, three tenths and a fifth
// of them.
func nodes(n int) []node {
	all := make([]node, n)
	for i := range all {
		weight := 1
		switch i % 10 {
		case 1, 4, 7:
			weight = 2
		case 2, 8:
			weight = 4
		}
		all[i] = node{fmt.Sprintf("backend-%03d", i), weight}
	}
	return all
}

func key(n int) string { return fmt.Sprintf("job-%07d", n) }

// fleets are what atoms are placed on: the 200 backends, one more, one less (the
// first), and a zone less (the first 50). Each is a part of all 201.
var fleets = [4]struct{ from, to int }{{0, backends}, {0, backends + 1}, {1, backends}, {zone, backends}}

// choice is where one atom goes in each of the fleets.
type choice [len(fleets)]int

// byRendezvous chooses as the router does.
func byRendezvous(all []node) func(key string) choice {
	return func(key string) (c choice) {
		k := rendezvous.Of(key)
		var most [len(fleets)]float64
		for i, n := range all {
			s := k.Score(n.name, n.weight)
			for f, of := range fleets {
				if i >= of.from && i < of.to && s > most[f] {
					c[f], most[f] = i, s
				}
			}
		}
		return c
	}
}

// bySlots chooses by the remainder of a number, a slot for each unit of weight.
func bySlots(all []node, number func(key string, fleet int) uint64) func(key string) choice {
	var slots [len(fleets)][]int
	for f, of := range fleets {
		for i := of.from; i < of.to; i++ {
			for range all[i].weight {
				slots[f] = append(slots[f], i)
			}
		}
	}
	return func(key string) (c choice) {
		for f := range fleets {
			c[f] = slots[f][number(key, f)%uint64(len(slots[f]))]
		}
		return c
	}
}

// placed is how many atoms each backend of each fleet has, and how many are
// elsewhere than in the first.
type placed struct {
	on    [len(fleets)][backends + 1]int
	moved [len(fleets)]int
}

func placeAll(choose func(key string) choice) (p placed) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	parts := runtime.GOMAXPROCS(0)
	for part := range parts {
		wg.Go(func() {
			var mine placed
			for n := part; n < atoms; n += parts {
				c := choose(key(n))
				for f, at := range c {
					mine.on[f][at]++
					if at != c[0] {
						mine.moved[f]++
					}
				}
			}
			mu.Lock()
			defer mu.Unlock()
			for f := range fleets {
				p.moved[f] += mine.moved[f]
				for i, n := range mine.on[f] {
					p.on[f][i] += n
				}
			}
		})
	}
	wg.Wait()
	return p
}

// load is the fullest backend of a fleet against its share by weight.
func (p *placed) load(all []node, fleet int) float64 {
	of := fleets[fleet]
	total, most := weight(all[of.from:of.to]), 0.0
	for i := of.from; i < of.to; i++ {
		share := float64(atoms) * float64(all[i].weight) / float64(total)
		most = max(most, float64(p.on[fleet][i])/share)
	}
	return most
}

func weight(nodes []node) (total int) {
	for _, n := range nodes {
		total += n.weight
	}
	return total
}

func place(w io.Writer) {
	all := nodes(backends + 1)
	all[backends].weight = 2
	now := weight(all[:backends])
	rows := [][]string{
		{"", "fullest", "one more", "one less", "a zone less", "fullest then"},
		{"ideal", "1.000", share(2, now+2), share(all[0].weight, now), share(weight(all[:zone]), now), "1.000"},
	}
	for _, way := range []struct {
		name   string
		choose func(string) choice
	}{
		{"rendezvous, as the router", byRendezvous(all)},
		{"hash modulo the weights", bySlots(all, func(key string, _ int) uint64 { return fnv(key) })},
		{"at random", bySlots(all, func(key string, f int) uint64 { return rand.NewPCG(fnv(key), uint64(f)).Uint64() })},
	} {
		p := placeAll(way.choose)
		rows = append(rows, []string{
			way.name, fmt.Sprintf("%.3f", p.load(all, 0)),
			share(p.moved[1], atoms), share(p.moved[2], atoms), share(p.moved[3], atoms), fmt.Sprintf("%.3f", p.load(all, 3)),
		})
	}
	table(w, "Placement: the fullest backend against its share by weight, and the atoms that move when backends come and go", rows)
}

func share(part, of int) string { return fmt.Sprintf("%.2f%%", 100*float64(part)/float64(of)) }

// fnv is FNV-1a, ended by the finalizer of SplitMix64.
func fnv(s string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	return h ^ h>>31
}
