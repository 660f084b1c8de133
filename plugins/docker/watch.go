package docker

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"

	"github.com/atom-router/atom-router/atom"
)

const (
	// watchLinger keeps the event stream open after the last ticket: the next
	// one usually comes soon.
	watchLinger = 5 * time.Second
	// watchOverlap is how far back a first stream looks, since the daemon
	// answers before it has begun to listen.
	watchOverlap = 10 * time.Second
	backoffMin   = 100 * time.Millisecond
	backoffMax   = 5 * time.Second
)

// watch is the one event stream of a daemon. It tells ticket holders when to
// look at their container; what happened they see by looking. It runs while
// there are tickets.
type watch struct {
	e *Engine

	mu      sync.Mutex
	tickets map[string]map[*ticket]struct{} // by container
	stop    context.CancelFunc              // nil while no stream runs
	idle    *time.Timer
}

// ticket is one interest in one container. Its holder gives it back with
// leave.
type ticket struct {
	// look receives when something may have changed; it holds one.
	look chan struct{}

	id string
	w  *watch

	mu   sync.Mutex
	seen fate
}

// fate is what events told of a container's end.
type fate struct {
	ended bool
	code  int
	at    time.Time
	oom   bool
	gone  bool
}

func newWatch(e *Engine) *watch {
	return &watch{e: e, tickets: make(map[string]map[*ticket]struct{})}
}

// join takes a ticket for a container and starts the stream if need be.
func (w *watch) join(id string) *ticket {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.joinLocked(id)
}

// joinOpen is join where the stream runs already, and nil where it does not.
// Whoever takes a ticket before they look need not look again after it.
func (w *watch) joinOpen(id string) *ticket {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stop == nil {
		return nil
	}
	return w.joinLocked(id)
}

func (w *watch) joinLocked(id string) *ticket {
	t := &ticket{look: make(chan struct{}, 1), id: id, w: w}
	if w.tickets[id] == nil {
		w.tickets[id] = make(map[*ticket]struct{})
	}
	w.tickets[id][t] = struct{}{}
	if w.idle != nil {
		w.idle.Stop()
		w.idle = nil
	}
	if w.stop == nil {
		ctx, cancel := context.WithCancel(w.e.ctx)
		w.stop = cancel
		w.e.work.Add(1) // ends with ctx: when idle, or with the engine
		go func() {
			defer w.e.work.Done()
			defer cancel()
			w.run(ctx)
		}()
	}
	return t
}

func (t *ticket) leave() {
	w := t.w
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.tickets[t.id], t)
	if len(w.tickets[t.id]) == 0 {
		delete(w.tickets, t.id)
	}
	if len(w.tickets) > 0 || w.stop == nil || w.idle != nil {
		return
	}
	var timer *time.Timer
	timer = time.AfterFunc(watchLinger, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.idle != timer { // somebody joined
			return
		}
		w.idle = nil
		w.stop()
		w.stop = nil
	})
	w.idle = timer
}

// fate is what the ticket's events told so far.
func (t *ticket) fate() fate {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.seen
}

func (t *ticket) signal() {
	select {
	case t.look <- struct{}{}:
	default:
	}
}

// run keeps a stream open until ctx ends.
func (w *watch) run(ctx context.Context) {
	since := time.Now().Add(-watchOverlap)
	wait := backoffMin
	for ctx.Err() == nil {
		opened, err := w.stream(ctx, &since)
		if ctx.Err() != nil {
			return
		}
		if opened {
			wait = backoffMin
		}
		w.e.log.Debug("the event stream ended and is opened again", "error", err)
		if pause(ctx, wait+rand.N(wait)) != nil {
			return
		}
		wait = min(2*wait, backoffMax)
	}
}

// stream reads events until they end. since moves on to the last one seen.
func (w *watch) stream(ctx context.Context, since *time.Time) (opened bool, err error) {
	api, err := w.e.daemon.connect(ctx)
	if err != nil {
		return false, err
	}
	ctx, cancel := context.WithCancel(ctx)
	wanted := filters.NewArgs(filters.Arg("type", string(events.ContainerEventType)), filters.Arg("label", atom.Label+"="+labelAtom))
	for _, action := range []events.Action{events.ActionStart, events.ActionOOM, events.ActionDie, events.ActionDestroy, podmanDied, podmanRemove} {
		wanted.Add("event", string(action)) // daemons pay no heed to those that they do not know
	}
	messages, errs := api.Events(ctx, events.ListOptions{Since: unixTime(since.UnixNano()), Filters: wanted})
	defer func() {
		cancel()
		for range errs { // closed when the client's goroutine has ended
		}
	}()
	select {
	case err := <-errs:
		return false, w.e.daemon.fault(ctx, err)
	default:
	}
	// Whatever happened while nobody listened is seen by looking.
	w.signalAll()
	for {
		select {
		case m := <-messages:
			w.tell(m)
			if t := time.Unix(0, m.TimeNano); t.After(*since) {
				*since = t
			}
		case err := <-errs:
			return true, w.e.daemon.fault(ctx, err)
		}
	}
}

func (w *watch) tell(m events.Message) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for t := range w.tickets[m.Actor.ID] {
		t.mu.Lock()
		switch m.Action {
		case events.ActionOOM:
			t.seen.oom = true
		case events.ActionDie:
			code, err := strconv.Atoi(m.Actor.Attributes["exitCode"])
			if err == nil {
				t.seen.ended, t.seen.code, t.seen.at = true, code, time.Unix(0, m.TimeNano).UTC()
			}
		case events.ActionDestroy, podmanRemove:
			t.seen.gone = true
		}
		t.mu.Unlock()
		t.signal()
	}
}

func (w *watch) signalAll() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, ts := range w.tickets {
		for t := range ts {
			t.signal()
		}
	}
}

// unixTime is how the daemon's API takes times: seconds and nine digits.
func unixTime(ns int64) string {
	return fmt.Sprintf("%d.%09d", ns/1e9, ns%1e9)
}

// pause waits, or returns ctx's error.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return endOf(ctx)
	}
}
