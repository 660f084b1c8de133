//go:build linux || darwin

package process

import (
	"sync"
	"time"
)

// watcher tells those who wait for something in the state directory when to
// look again. It is one per engine, shared by all its Waits and Logs: a
// notifier where the system has one, and beside it a tick that catches what a
// notifier can miss (a full queue, a file system that does not notify). A wake
// says only "look"; a needless one is harmless.
type watcher struct {
	notify   notifier
	backstop time.Duration
	poll     chan struct{} // there is somebody to poll for

	mu     sync.Mutex
	subs   map[*subscription]struct{}
	closed chan struct{}
	done   sync.WaitGroup
}

// notifier is the system's own notification of changes.
type notifier interface {
	// add begins to call sub.wake when the path changes; kind says what to
	// look for. It reports false where the path cannot be watched, because
	// it has gone or because there are too many watches.
	add(sub *subscription, path string, kind watchKind) bool
	// remove ends it.
	remove(sub *subscription)
	// close ends all of it and waits for its goroutines.
	close()
}

type watchKind int

const (
	watchLife watchKind = iota // an atom's directory: its start, its end, its removal
	watchLog                   // its log: growth
)

// subscription is one waiter's.
type subscription struct {
	w *watcher
	// polled has the subscription woken at every pollTick, under w.mu.
	polled bool
	// C holds a token when there is reason to look again.
	C chan struct{}
}

const (
	// pollTick is how often those look whom nothing notifies.
	pollTick = 50 * time.Millisecond
	// backstopTick is how often all others look regardless.
	backstopTick = 2 * time.Second
)

func newWatcher(n notifier, backstop time.Duration) *watcher {
	w := &watcher{notify: n, backstop: backstop, subs: make(map[*subscription]struct{}), poll: make(chan struct{}, 1), closed: make(chan struct{})}
	w.done.Add(1)
	go w.run() // owned by w; ended by close
	return w
}

func (w *watcher) run() {
	defer w.done.Done()
	all := time.NewTicker(w.backstop)
	defer all.Stop()
	var polled <-chan time.Time // runs only while somebody needs it
	for {
		select {
		case <-w.closed:
			return
		case <-all.C:
			w.wake(false)
		case <-w.poll:
			polled = time.After(pollTick)
		case <-polled:
			polled = nil
			if w.wake(true) {
				polled = time.After(pollTick)
			}
		}
	}
}

// subscribe returns a subscription that watches nothing yet.
func (w *watcher) subscribe() *subscription {
	sub := &subscription{w: w, C: make(chan struct{}, 1)}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.subs[sub] = struct{}{}
	return sub
}

// wake wakes all, or only those who are polled for, and reports whether there
// were any.
func (w *watcher) wake(onlyPolled bool) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	any := false
	for sub := range w.subs {
		if sub.polled || !onlyPolled {
			sub.wake()
			any = true
		}
	}
	return any
}

// close ends the watcher's goroutines. Idempotent is its engine's Close.
func (w *watcher) close() {
	close(w.closed)
	w.notify.close()
	w.done.Wait()
}

// add watches a path too. What changed before add returned is not told: look
// after it.
func (s *subscription) add(path string, kind watchKind) {
	if s.w.notify.add(s, path, kind) {
		return
	}
	s.w.mu.Lock()
	s.polled = true
	s.w.mu.Unlock()
	select {
	case s.w.poll <- struct{}{}:
	default:
	}
}

func (s *subscription) wake() {
	select {
	case s.C <- struct{}{}:
	default:
	}
}

func (s *subscription) close() {
	s.w.mu.Lock()
	delete(s.w.subs, s)
	s.w.mu.Unlock()
	s.w.notify.remove(s)
}
