package memengine

import (
	"sync"
	"time"

	"github.com/atom-router/atom-router/atom"
)

// record is one atom.
type record struct {
	engine        *Engine
	owner, native string
	hash          string
	created       time.Time
	stopTimeout   time.Duration

	mu      sync.Mutex
	info    atom.Info
	gone    bool
	onTerm  func() // nil: die of it
	log     []entry
	lines   int // how many lines have begun
	midLine map[atom.Stream]*line
	changed chan struct{} // closed, and made anew, when anything above changes
	ended   chan struct{} // closed when the process ends
}

// snapshot is the atom as it is now.
func (r *record) snapshot() atom.Atom {
	r.mu.Lock()
	defer r.mu.Unlock()
	return atom.New(r.info, r.engine)
}

// update changes the record under its lock and tells all who wait.
func (r *record) update(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f()
	close(r.changed)
	r.changed = make(chan struct{})
}

// begin marks the start; false where the atom was killed before it.
func (r *record) begin() (started bool) {
	r.update(func() {
		if started = r.info.State == atom.Created; started {
			r.info.State, r.info.StartedAt = atom.Running, time.Now()
		} else if started = r.info.State == atom.Stopping; started {
			r.info.StartedAt = time.Now()
		}
	})
	return started
}

// end marks the end; only the first one counts.
func (r *record) end(exit atom.Exit, message string) {
	r.update(func() { r.endLocked(exit, message) })
}

func (r *record) endLocked(exit atom.Exit, message string) {
	if r.info.State.Done() {
		return
	}
	r.info.State, r.info.Result, r.info.ExitCode, r.info.Message = atom.Stopped, exit.Result(), exit.Code, message
	r.info.StoppedAt = time.Now()
	close(r.ended)
}

func (r *record) exit(code int) { r.end(atom.Exit{Code: &code}, "") }

func (r *record) kill() { r.exit(128 + 9) }

// terminate is a SIGTERM.
func (r *record) terminate() {
	r.mu.Lock()
	handler := r.onTerm
	r.mu.Unlock()
	if handler == nil {
		r.exit(128 + 15)
		return
	}
	handler()
}

// remove tells those who wait that there will be no more.
func (r *record) remove() { r.update(func() { r.gone = true }) }

// look gives what a waiter needs: the state, and a channel that closes when
// it changes.
func (r *record) look() (info atom.Info, gone bool, changed <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.info, r.gone, r.changed
}
