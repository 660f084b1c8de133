package docker

import (
	"context"
	"sync"
)

// keyed is a lock for each of any number of names.
type keyed struct {
	mu   sync.Mutex
	held map[string]chan struct{} // closed when let go of
}

func newKeyed() *keyed { return &keyed{held: make(map[string]chan struct{})} }

// lock waits for the name and returns what lets go of it, or ctx's error.
func (k *keyed) lock(ctx context.Context, name string) (unlock func(), err error) {
	for {
		k.mu.Lock()
		holder, taken := k.held[name]
		if !taken {
			mine := make(chan struct{})
			k.held[name] = mine
			k.mu.Unlock()
			return func() {
				k.mu.Lock()
				delete(k.held, name)
				k.mu.Unlock()
				close(mine)
			}, nil
		}
		k.mu.Unlock()
		select {
		case <-holder:
		case <-ctx.Done():
			return nil, endOf(ctx)
		}
	}
}
