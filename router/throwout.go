package router

import (
	"context"
	"time"

	"github.com/containerd/errdefs"

	"github.com/atom-router/atom-router/atom"
)

// throwOutAfter is when the atom of a Create that was cancelled is looked for:
// at once, and when what the engine had begun should be there.
var throwOutAfter = []time.Duration{0, 2 * time.Second}

// throwOut removes what a Create made whose caller has gone before it was told
// the atom's ID, and the Key that this router had made up for it. Close waits
// for it, which is bounded.
//
// Who made the Key up throws out, and nobody behind: there, a caller that has
// lost its connection and is about to ask again looks like one that has gone.
func (e *Engine) throwOut(b *backend, owner, key string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return
	}
	b.users++
	e.tidying.Go(func() {
		defer e.release(b)
		b.throwOut(owner, key, e.options.AskTimeout, func(ctx context.Context) (atom.Atom, error) { return e.lookupOne(ctx, b, owner, key) })
	})
}

// throwOut removes the atom that find finds under the Key; find returns nil
// where there is none. Each look takes at most the timeout.
func (b *backend) throwOut(owner, key string, timeout time.Duration, find func(context.Context) (atom.Atom, error)) {
	for _, after := range throwOutAfter {
		time.Sleep(after)
		ctx, cancel := context.WithTimeout(context.Background(), timeout)
		found, err := find(ctx)
		if err == nil && found != nil {
			_, err = ask(ctx, b, func(ctx context.Context, i *instance) (struct{}, error) {
				d, ok := i.engine.(atom.Deleter)
				if !ok {
					return struct{}{}, lacks(b, atom.CapDelete)
				}
				return struct{}{}, d.Delete(&atom.EngineDeleteRequest{ID: found.ID(), Force: true, Owner: owner, Context: ctx})
			})
		}
		cancel()
		switch {
		case err != nil && !errdefs.IsNotFound(err):
			b.log.Warn("what a cancelled Create may have made is not removed", "key", key, "error", err)
			return
		case found != nil:
			b.log.Debug("what a cancelled Create had made is removed", "id", found.ID())
			return
		}
	}
}
