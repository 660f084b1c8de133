package main

import (
	"container/heap"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"github.com/atom-router/atom-router/internal/backoff"
)

// The model of an API server that comes back after five minutes, at 0. It
// takes work in the order in which it comes, and refuses with 429 what would
// wait for longer than a second.
const (
	serverWork = 1000.0 // gets a second; a page of a list is ten
	pageWork   = 10.0
	refuseWork = 0.05
	patience   = time.Second
	outage     = 5 * time.Minute

	perBackend = atoms / backends     // atoms
	perRouter  = perBackend / routers // of them, waited for in one router
	pages      = (perBackend + 499) / 500
	qps, burst = 100.0, 200.0 // of a plugin
	// looks is how many Waits of a plugin ask at a time: plugins/kube/wait.go.
	looks = 4
	// retryAfter is what the client makes of a 429.
	retryAfter = time.Second
)

// event is something that happens at a time; those of the same time happen in
// the order in which they were planned.
type event struct {
	at  time.Duration
	n   int
	run func()
}

type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	return e[i].at < e[j].at || e[i].at == e[j].at && e[i].n < e[j].n
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	last := (*e)[len(*e)-1]
	*e = (*e)[:len(*e)-1]
	return last
}

// world is a cluster's API server and who asks it.
type world struct {
	now     time.Duration
	planned events
	count   int
	random  *rand.Rand

	busy    time.Duration // the server has work until then
	asked   map[int]int   // requests by second, since it is back
	refused int
	live    int
	done    time.Duration // when the last one became live
}

func (w *world) at(t time.Duration, run func()) {
	w.count++
	heap.Push(&w.planned, event{t, w.count, run})
}

func (w *world) after(d time.Duration, run func()) { w.at(w.now+d, run) }

// ask makes a request of some work and calls then with whether it was
// answered. A refused one is made again by the client.
func (w *world) ask(work float64, then func(answered bool)) {
	if w.now < 0 { // connection refused
		then(false)
		return
	}
	w.asked[int(w.now/time.Second)]++
	w.busy = max(w.busy, w.now)
	if w.busy-w.now > patience {
		w.refused++
		w.busy += seconds(refuseWork / serverWork)
		w.after(retryAfter, func() { w.ask(work, then) })
		return
	}
	w.busy += seconds(work / serverWork)
	w.at(w.busy, func() { then(true) })
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// lives notes that n Waits are live again.
func (w *world) lives(n int) {
	w.live += n
	if w.live == perBackend {
		w.done = w.now
	}
}

// run goes on until all is live.
func (w *world) run() {
	for w.live < perBackend && len(w.planned) > 0 {
		e := heap.Pop(&w.planned).(event)
		w.now = e.at
		e.run()
	}
}

// bucket is a client's own limit: client-go's, first come, first served.
type bucket struct {
	w    *world
	left float64
	at   time.Duration
}

// take calls then when it is a request's turn.
func (b *bucket) take(then func()) {
	b.left = min(burst, b.left+float64((b.w.now-b.at).Seconds()*qps))
	b.at = b.w.now
	b.left--
	if b.left >= 0 {
		then()
		return
	}
	b.w.after(seconds(-b.left/qps), then)
}

// perJob has a watch for each job, which finds its job with a get first. pause
// is what it leaves between two attempts.
func perJob(w *world, pause func(failures int) time.Duration) {
	for range perBackend {
		var try func(failures int)
		try = func(failures int) {
			w.ask(1, func(answered bool) {
				if !answered {
					w.after(pause(failures+1), func() { try(failures + 1) })
					return
				}
				w.ask(1, func(bool) { w.lives(1) })
			})
		}
		w.at(-outage, func() { try(0) })
	}
}

// plugin is one router's for this backend: a list and a watch for all its
// Waits.
type plugin struct {
	w      *world
	bucket bucket
	synced bool
	turns  int // taken by Waits that look
	queue  []func()
}

// watch lists, unless it knows a version to go on from, and watches.
func (p *plugin) watch(version bool, failures int, synced func()) {
	again := func() {
		p.w.after(backoff.Watch.After(failures+1, p.w.random.Int64N), func() { p.watch(version, failures+1, synced) })
	}
	open := func() {
		p.bucket.take(func() {
			p.w.ask(1, func(answered bool) {
				if !answered {
					again()
					return
				}
				p.synced = true
				synced()
			})
		})
	}
	if version {
		open()
		return
	}
	var page func(n int)
	page = func(n int) {
		p.bucket.take(func() {
			p.w.ask(pageWork, func(answered bool) {
				switch {
				case !answered:
					again()
				case n+1 < pages:
					page(n + 1)
				default:
					open()
				}
			})
		})
	}
	page(0)
}

// wait is one Wait of a plugin that was started in the outage: it looks for
// its atom, as one of so many at a time where turns is not 0.
func (p *plugin) wait(failures, turns int, pause func(failures int) time.Duration) {
	look := func() {
		over := func(answered bool) {
			if answered {
				p.w.lives(1)
			} else {
				p.w.after(pause(failures+1), func() { p.wait(failures+1, turns, pause) })
			}
			if p.turns--; len(p.queue) > 0 {
				next := p.queue[0]
				p.queue = p.queue[1:]
				next()
			}
		}
		p.turns++
		if p.synced {
			over(true)
			return
		}
		p.bucket.take(func() { p.w.ask(1, over) })
	}
	if turns > 0 && p.turns >= turns {
		p.queue = append(p.queue, look)
		return
	}
	look()
}

// fleet has every router's plugin do something at the beginning of the outage,
// or a little later: they do not see it in the same moment.
func fleet(w *world, do func(p *plugin)) {
	for range routers {
		p := &plugin{w: w}
		p.bucket = bucket{w: w, left: burst, at: -outage}
		w.at(-outage+time.Duration(w.random.Int64N(int64(time.Second))), func() { do(p) })
	}
}

func herd(out io.Writer) {
	rows := [][]string{{"", "requests", "most in a second", "refused", "all live after"}}
	for _, c := range []struct {
		name  string
		begin func(w *world)
	}{
		{"a watch a job, every 5 s in step", func(w *world) {
			perJob(w, func(int) time.Duration { return 5 * time.Second })
		}},
		{"a watch a job, with the router's jitter", func(w *world) {
			perJob(w, func(n int) time.Duration { return backoff.Watch.After(n, w.random.Int64N) })
		}},
		{"the router, plugins lived on", func(w *world) {
			fleet(w, func(p *plugin) { p.watch(true, 0, func() { w.lives(perRouter) }) })
		}},
		{"the router, versions are forgotten (410)", func(w *world) {
			fleet(w, func(p *plugin) { p.watch(false, 0, func() { w.lives(perRouter) }) })
		}},
		{"plugins started anew, before", func(w *world) {
			fleet(w, func(p *plugin) {
				p.watch(false, 0, func() {})
				for range perRouter {
					p.wait(0, 0, func(int) time.Duration { return time.Second })
				}
			})
		}},
		{"plugins started anew, now", func(w *world) {
			fleet(w, func(p *plugin) {
				p.watch(false, 0, func() {})
				for range perRouter {
					p.wait(0, looks, func(n int) time.Duration { return backoff.Away.After(n, w.random.Int64N) })
				}
			})
		}},
	} {
		w := &world{now: -outage, random: rand.New(rand.NewPCG(9, 9)), asked: make(map[int]int)}
		c.begin(w)
		w.run()
		sum, most := 0, 0
		for _, n := range w.asked {
			sum, most = sum+n, max(most, n)
		}
		rows = append(rows, []string{c.name, thousands(sum), thousands(most), thousands(w.refused), fmt.Sprintf("%.1f s", w.done.Seconds())})
	}
	table(out, fmt.Sprintf("An API server that was away for five minutes comes back; %s atoms and a Wait for each, from %d routers", thousands(perBackend), routers), rows)
}
