package main

import (
	"cmp"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"

	"github.com/atom-router/atom-router/internal/backoff"
	"github.com/atom-router/atom-router/internal/rendezvous"
)

// The model of a storm. Time goes in ticks of a tenth of a second.
const (
	tick      = 0.1
	ticks     = 100  // a peak is of ten seconds: what comes in one is chance
	stormFrom = 30.0 // the trouble begins
	stormTo   = 90.0 // and ends
	stormEnd  = 120.0

	// headroom is what a backend can take, in Creates, against what it gets
	// in quiet times; to refuse one costs it a tenth of taking it.
	headroom = 2.0
	refusing = 0.1

	// What the router does: a failed probe is believed for a second, one
	// without an answer has failed after five. A Create that hangs takes the
	// kube plugin a minute: two requests of 30 s, as it is asked again.
	probeKept = 1.0
	probeWait = 5.0
	hangs     = 60.0
)

// trouble is what befalls backends in a storm.
type trouble int

const (
	refuses trouble = iota // connection refused
	silent                 // no answer
	slow                   // takes a third of what it took
)

// known is what a router knows of a backend, as router/instance.go has it.
type known struct {
	failed  bool
	doubted bool    // or never asked
	at      float64 // of the last probe's result
	asking  float64 // a probe is under way until then
	// now: failures in a row, and until when it is left alone.
	failures int
	until    float64
}

// storm is one run. budget and hurried are the two things that the router does
// since this simulation was made.
type storm struct {
	hit     int // so many backends, from the first
	trouble trouble
	after   bool // with what the router does now
	random  *rand.Rand
	orders  [][]uint8

	left    [backends]float64 // what each may take yet in this tick
	routers [routers]struct {
		of      [backends]known
		budget  backoff.Failovers
		slowest [backends]float64 // when the first Create that hangs is 5 s old
	}
	result
}

// result counts, of the Creates made during the trouble.
type result struct {
	made, placed, unknown int
	asks, late            int
	perTick               [backends]int // asks at a backend in this tick
	peak                  float64       // the most asks at one that is well, against quiet times
	window                [ticks][backends]int
	recent                [backends]int // the sum of window
	back                  float64       // the most asks at one that came back
}

func (s *storm) troubled(b int, t float64) bool { return b < s.hit && t >= stormFrom && t < stormTo }

// ask has a backend take a Create, and reports whether it did.
func (s *storm) ask(b int, t float64) (took, answered bool) {
	s.perTick[b]++
	if s.troubled(b, t) && s.trouble != slow {
		return false, s.trouble == refuses
	}
	if s.left[b] >= 1 {
		s.left[b]--
		return true, true
	}
	s.left[b] = max(0, s.left[b]-refusing)
	return false, true
}

// create walks a Create through the backends, best first, and reports how long
// it took; asks are counted by ask.
func (s *storm) create(n int, t float64) (placed, unknown bool, asks int, took float64) {
	r := &s.routers[s.random.IntN(routers)]
	r.budget.Earn()
	for _, next := range s.orders[n%len(s.orders)] {
		b := int(next)
		at := &r.of[b]
		now := t + took
		if s.after && r.slowest[b] > 0 && now >= r.slowest[b] {
			at.doubted = true
		}
		switch {
		case at.failed && (now < at.at+probeKept || s.after && now < at.until):
			continue // it is known
		case at.failed && now < at.asking && s.after:
			continue // another asks
		case at.failed || at.doubted:
			wait := 0.0
			if now < at.asking { // in line for the answer
				wait = at.asking - now
			} else if s.troubled(b, now) && s.trouble == silent {
				wait = probeWait
				at.asking = now + wait
			}
			took += wait
			at.failed = s.troubled(b, now) && s.trouble != slow
			at.doubted = false
			at.at = now + wait
			r.slowest[b] = 0
			if at.failed {
				at.failures++
				at.until = at.at + backoff.Probe.After(at.failures, s.random.Int64N).Seconds()
				continue
			}
			at.failures = 0
		}
		if s.after && asks > 0 && !r.budget.Take() {
			return false, false, asks, took
		}
		asks++
		ok, answered := s.ask(b, t)
		switch {
		case ok:
			return true, false, asks, took
		case !answered:
			if r.slowest[b] == 0 {
				r.slowest[b] = now + probeWait
			}
			return false, true, asks, took + hangs
		}
		at.doubted = true
	}
	return false, false, asks, took
}

// orders are the orders of some keys' backends, all of one weight.
func orders() [][]uint8 {
	all := make([][]uint8, 20_000)
	equal := nodes(backends)
	for n := range all {
		k := rendezvous.Of(key(n))
		var scores [backends]float64
		order := make([]uint8, backends)
		for b, node := range equal {
			scores[b], order[b] = k.Score(node.name, 1), uint8(b)
		}
		slices.SortFunc(order, func(a, b uint8) int { return cmp.Compare(scores[b], scores[a]) })
		all[n] = order
	}
	return all
}

// run goes through the storm.
func (s *storm) run() {
	s.random = rand.New(rand.NewPCG(9, 9))
	quiet := creates / backends // a second, at each
	n, due := 0, 0.0
	for i := 0; float64(i)*tick < stormEnd; i++ {
		t := float64(i) * tick
		for b := range s.left {
			takes := headroom * quiet * tick
			if s.trouble == slow && s.troubled(b, t) {
				takes /= 3
			}
			s.left[b] = min(s.left[b]+takes, max(1, 10*takes)) // a second's worth may gather
			s.perTick[b] = 0
		}
		for due += float64(2 * creates * tick * s.random.Float64()); due >= 1; due-- {
			n++
			placed, unknown, asks, took := s.create(n, t)
			if t < stormFrom || t >= stormTo {
				continue
			}
			s.made++
			s.asks += asks
			if placed {
				s.placed++
			}
			if unknown {
				s.unknown++
			}
			if took >= 1 {
				s.late++
			}
		}
		old := &s.window[i%ticks]
		for b, n := range s.perTick {
			s.recent[b] += n - old[b]
			switch load := float64(s.recent[b]) / (quiet * ticks * tick); {
			case t >= stormFrom && t < stormTo && (b >= s.hit || s.trouble == slow):
				s.peak = max(s.peak, load)
			case t >= stormTo && b < s.hit:
				s.back = max(s.back, load)
			}
		}
		*old = s.perTick
	}
}

func failOver(w io.Writer) {
	orders := orders()
	rows := [][]string{{"", "placed", "refused", "unknown", "late", "asks each", "peak", "peak back"}}
	for _, c := range []struct {
		name    string
		hit     int
		trouble trouble
	}{
		{"nothing fails", 0, refuses},
		{"one backend refuses", 1, refuses},
		{"a zone of 50 refuses", zone, refuses},
		{"a zone of 50 hangs", zone, silent},
		{"all take a third", backends, slow},
	} {
		for _, after := range []bool{false, true} {
			if c.hit == 0 && !after {
				continue
			}
			s := &storm{hit: c.hit, trouble: c.trouble, after: after, orders: orders}
			s.run()
			name := c.name + ", before"
			switch {
			case c.hit == 0:
				name = c.name
			case after:
				name = c.name + ", now"
			}
			rows = append(rows, []string{
				name, share(s.placed, s.made), share(s.made-s.placed-s.unknown, s.made), share(s.unknown, s.made), share(s.late, s.made),
				fmt.Sprintf("%.2f", float64(s.asks)/float64(s.made)), fmt.Sprintf("%.1fx", s.peak), fmt.Sprintf("%.1fx", s.back),
			})
		}
	}
	table(w, "Failing over: a minute of trouble, one tier of 200 backends, Keys of the router's own", rows)
}
