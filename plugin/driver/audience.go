package driver

import (
	"sync"

	"github.com/atom-router/atom-router/atom"
)

// audience are the Creates that are told of the progress of one Start.
type audience struct {
	mu        sync.Mutex
	listeners map[int]func(atom.Progress)
	next      int
}

// listen has f told until leave is called, and not once that has returned. f
// may be nil.
func (a *audience) listen(f func(atom.Progress)) (leave func()) {
	if f == nil {
		return func() {}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.listeners == nil {
		a.listeners = make(map[int]func(atom.Progress))
	}
	a.next++
	id := a.next
	a.listeners[id] = f
	return func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		delete(a.listeners, id)
	}
}

// tell may be called from any number of goroutines; nobody is told two things
// at once.
func (a *audience) tell(p atom.Progress) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, f := range a.listeners {
		f(p)
	}
}
