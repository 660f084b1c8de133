package backoff

import "sync"

const (
	// So many further backends may be asked, on average, for each Create. A
	// rule that leads to no more than four backends never asks for more.
	failoversEach = 3
	// So many beyond that may be asked at once.
	failoverStock = 600
)

// Failovers is what a router has left to spend on asking further backends for
// an atom after one that was asked did not make it. Where many are overloaded
// at the same time, a rule that leads to two hundred would else ask each of
// them for each atom, and keep them overloaded. Passing over a backend that is
// known to take nothing costs nothing.
//
// The zero Failovers is full, and safe for concurrent use.
type Failovers struct {
	mu    sync.Mutex
	spent int // of failoverStock
}

// Earn notes a Create.
func (f *Failovers) Earn() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.spent = max(0, f.spent-failoversEach)
}

// Take allows to ask one more backend, or does not.
func (f *Failovers) Take() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.spent >= failoverStock {
		return false
	}
	f.spent++
	return true
}
