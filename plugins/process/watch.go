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
	notify notifier
	tick   time.Duration

	mu     sync.Mutex
	subs   map[*subscription]struct{}
	closed chan struct{}
	done   sync.WaitGroup
}

// notifier is the system's own notification of changes.
type notifier interface {
	// add begins to call sub.wake when the path changes; kind says what to
	// look for. A path that cannot be watched is left to the tick.
	add(sub *subscription, path string, kind watchKind)
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
	// C holds a token when there is reason to look again.
	C chan struct{}
}

func newWatcher() *watcher {
	w := &watcher{subs: make(map[*subscription]struct{}), closed: make(chan struct{})}
	w.notify, w.tick = newNotifier()
	w.done.Add(1)
	go w.run() // owned by w; ended by close
	return w
}

func (w *watcher) run() {
	defer w.done.Done()
	ticker := time.NewTicker(w.tick)
	defer ticker.Stop()
	for {
		select {
		case <-w.closed:
			return
		case <-ticker.C:
			w.wakeAll()
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

func (w *watcher) wakeAll() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for sub := range w.subs {
		sub.wake()
	}
}

// close ends the watcher's goroutines. Idempotent is its engine's Close.
func (w *watcher) close() {
	close(w.closed)
	w.notify.close()
	w.done.Wait()
}

// add watches a path too. What changed before add returned is not told: look
// after it.
func (s *subscription) add(path string, kind watchKind) { s.w.notify.add(s, path, kind) }

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
