package main

import (
	"fmt"
	"io"
	"math/rand/v2"
)

// The model of retention: each router lists a backend every so often and
// removes what has expired, as router/janitor.go does, at its plugin's rate.
const (
	sweepEvery = 300.0 // seconds
	sweepRate  = 100.0 // requests a second, of a plugin
	sweepFor   = 12    // times
)

// sweepers counts the requests that remove the atoms of one backend.
func sweepers(jitter, shuffle, knows bool) (requests, removed int) {
	random := rand.New(rand.NewPCG(9, 9))
	expire := creates / backends // a second
	gone := make([]bool, int(expire*sweepEvery*sweepFor))
	type sweeper struct {
		next float64 // sweep
		list []int
	}
	var all [routers]sweeper
	every := func() float64 {
		if !jitter {
			return sweepEvery
		}
		return float64(sweepEvery * (0.5 + 0.5*random.Float64()))
	}
	for i := range all {
		all[i].next = every()
	}
	for t := 0.0; t < sweepEvery*sweepFor; t += 1 / sweepRate {
		for i := range all {
			s := &all[i]
			if len(s.list) == 0 && t >= s.next {
				s.next += every()
				for n := range min(len(gone), int(t*expire)) {
					if !gone[n] {
						s.list = append(s.list, n)
					}
				}
				if shuffle {
					random.Shuffle(len(s.list), func(a, b int) { s.list[a], s.list[b] = s.list[b], s.list[a] })
				}
			}
			for len(s.list) > 0 {
				n := s.list[0]
				s.list = s.list[1:]
				if gone[n] && knows {
					continue // its watch has told
				}
				requests++
				if !gone[n] {
					gone[n] = true
					removed++
				}
				break
			}
		}
	}
	return requests, removed
}

func sweeps(w io.Writer) {
	rows := [][]string{{"", "requests", "removed", "requests each"}}
	for _, c := range []struct {
		name                   string
		jitter, shuffle, knows bool
	}{
		{"in step and in order, before", false, false, false},
		{"at times of their own, each in its order", true, true, false},
		{"and what the watch saw go is not asked for, now", true, true, true},
	} {
		requests, removed := sweepers(c.jitter, c.shuffle, c.knows)
		rows = append(rows, []string{c.name, thousands(requests), thousands(removed), fmt.Sprintf("%.2f", float64(requests)/float64(removed))})
	}
	table(w, fmt.Sprintf("Retention: an hour of one Kubernetes backend, swept by %d routers", routers), rows)
}
