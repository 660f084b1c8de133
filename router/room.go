package router

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/containerd/errdefs"

	"github.com/atom-router/atom-router/atom"
)

// countKept is how long a count of a backend's atoms is good enough to let
// one more in. It is never good enough to turn one away.
const countKept = time.Second

// room keeps a backend's max_atoms: how many of the owner's atoms have not
// stopped, as the backend lists them, and the Creates under way in this
// router. Other routers' Creates are seen once they are listed, so the limit
// is soft between them.
type room struct {
	counting chan struct{} // holds one token: one List at a time

	mu      sync.Mutex
	counted int       // by the last List
	at      time.Time // when it began
	added   int       // by this router since then
	pending int       // Creates under way
}

// rooms are a backend's, by owner: what one runs takes nothing from another.
type rooms struct {
	mu sync.Mutex
	of map[string]*room
}

func newRooms() *rooms { return &rooms{of: make(map[string]*room)} }

func (r *rooms) room(owner string) *room {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.of[owner] == nil {
		r.of[owner] = newRoom()
	}
	return r.of[owner]
}

func newRoom() *room { return &room{counting: make(chan struct{}, 1)} }

// fullError says that a backend has no room.
type fullError struct{ have, most int }

func (e *fullError) Error() string { return fmt.Sprintf("full: %d of %d atoms", e.have, e.most) }
func (e *fullError) Unwrap() error { return errdefs.ErrResourceExhausted }

// take reserves room for one atom where no more than most may be; 0 is no
// limit. Every nil is followed by one give. count
// asks the backend how many there are. An error that is no *fullError is
// ctx's: where the count cannot be had for another reason, the Create that
// follows will tell.
func (r *room) take(ctx context.Context, most int, count func(context.Context) (int, error)) error {
	if r.reserve(most, true) == nil {
		return nil
	}
	select {
	case r.counting <- struct{}{}:
		defer func() { <-r.counting }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if r.reserve(most, true) == nil { // somebody counted meanwhile
		return nil
	}
	began := time.Now()
	r.mu.Lock()
	before := r.added
	r.mu.Unlock()
	n, err := count(ctx)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		r.mu.Lock()
		r.pending++
		r.mu.Unlock()
		return nil
	}
	r.mu.Lock()
	// Those that came while it was counted may be in the count, or not.
	r.counted, r.at, r.added = n, began, r.added-before
	r.mu.Unlock()
	return r.reserve(most, false)
}

// reserve takes room by the last count, which must be a recent one if recent
// is set.
func (r *room) reserve(most int, recent bool) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	have := r.counted + r.added + r.pending
	if most > 0 && (have >= most || recent && time.Since(r.at) > countKept) {
		return &fullError{have: have, most: most}
	}
	r.pending++
	return nil
}

// give ends a reservation; made says that it became an atom.
func (r *room) give(made bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pending--
	if made {
		r.added++
	}
}

// alive counts the atoms that take up room.
func alive(atoms []atom.Atom) int {
	n := 0
	for _, a := range atoms {
		if !a.State().Done() {
			n++
		}
	}
	return n
}
