package kube

import (
	"context"
	"time"

	"github.com/containerd/errdefs"

	"github.com/atom-router/atom-router/atom"
)

// lostTime is how long beyond its grace a deleted pod may stay before a Delete
// with Force takes its node for lost.
const lostTime = time.Minute

// Delete removes a stopped atom, and returns when it is gone. Force ends one
// that has not stopped, with a second of grace. Where no kubelet confirms the
// end within a minute, Force removes the pod all the same: its node is lost,
// and what ran there may run on until the node comes back.
func (e *Engine) Delete(r *atom.EngineDeleteRequest) error {
	ctx, cancel := e.bound(atom.ContextOr(r.Context))
	defer cancel()
	e.watch.start()
	found, err := e.find(ctx, r.ID, r.Owner, false)
	if err != nil {
		return err
	}
	if !found.over && !found.doomed && !r.Force {
		// Another router may have seen the end before our watch does.
		if found, err = e.find(ctx, r.ID, r.Owner, true); err != nil {
			return err
		}
	}
	if !found.over && !found.doomed && !r.Force {
		state := "has not started yet"
		if found.began {
			state = "is running"
		}
		return atom.Errorf(errdefs.ErrFailedPrecondition, "the atom %s; stop it first, or delete it with force", state)
	}
	grace := int64(1)
	if found.over && !found.closed {
		grace = max(1, found.grace) // for what stands beside the job
	}
	for found.held {
		released, err := e.change(ctx, found, map[string]any{"metadata": map[string]any{"finalizers": without(found.keep)}})
		if err != nil {
			return err
		}
		if released != nil {
			found = released
			break
		}
		if found, err = e.find(ctx, r.ID, r.Owner, true); isNotFound(err) {
			return nil
		} else if err != nil {
			return err
		}
	}
	if err := e.deletePod(ctx, found, grace); err != nil {
		return err
	}
	return e.awaitRemoval(ctx, found, r.Force, time.Duration(grace)*time.Second+lostTime)
}

// awaitRemoval returns when the pod is gone.
func (e *Engine) awaitRemoval(ctx context.Context, p *record, force bool, patience time.Duration) error {
	inner, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	_, err := e.await(inner, p, func(*record) bool { return false })
	if err == nil || inner.Err() == nil || ctx.Err() != nil {
		return err
	}
	if !force {
		return atom.Errorf(errdefs.ErrUnavailable, "the pod is being deleted, and nothing has confirmed its end yet; its node may be lost")
	}
	e.log.Warn("no kubelet confirms the end of a pod that is deleted with force; removing it all the same", "pod", p.name)
	if err := e.deletePod(ctx, p, 0); err != nil {
		return err
	}
	_, err = e.await(ctx, p, func(*record) bool { return false })
	return err
}
