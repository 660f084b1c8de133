package kube

import (
	"context"
	"slices"
	"time"
)

const (
	overseeEvery = time.Second
	// heldTime is how long a pod that a Stop deleted is kept, where nobody
	// deletes the atom.
	heldTime = time.Hour
	// sidecarGrace is how long containers beside the job's may outlive it.
	sidecarGrace = 15 * time.Second
)

// oversee does what has its time: it gives up pods that do not start, ends
// what runs on beside a job that has ended, finishes Stops whose maker died
// half-way and lets go of pods that were kept for long enough.
func (e *Engine) oversee(ctx context.Context) {
	tick := time.NewTicker(overseeEvery)
	defer tick.Stop()
	failedAt := make(map[string]time.Time) // by uid: do not insist every second
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			due, _ := e.watch.pods.all(func(r *record) bool { return e.duty(r, now) != nil })
			for uid, at := range failedAt {
				if now.Sub(at) > 10*time.Second {
					delete(failedAt, uid)
				}
			}
			for _, r := range due {
				if _, ok := failedAt[r.uid]; ok {
					continue
				}
				if err := e.duty(r, now)(ctx, r); err != nil && ctx.Err() == nil {
					failedAt[r.uid] = now
					e.log.Warn("looking after a pod", "pod", r.name, "error", err)
				}
			}
		}
	}
}

// duty is what a pod is due for; nil for nothing.
func (e *Engine) duty(r *record, now time.Time) func(context.Context, *record) error {
	switch {
	case r.owner == "":
		return nil
	case !r.over && r.failed == nil && !r.overdue.at.IsZero() && now.After(r.overdue.at):
		return e.giveUp
	case !r.over && !r.doomed && r.held && (r.failed != nil || r.stop != nil && r.stop.Delete) && now.Sub(markedAt(r)) > 10*time.Second:
		return e.finishDeletion
	case r.over && !r.closed && !r.doomed && !r.ending && !r.info.StoppedAt.IsZero() && now.Sub(r.info.StoppedAt) > sidecarGrace:
		return e.endSidecars
	case r.over && r.held && r.doomed && now.Sub(markedAt(r)) > heldTime:
		return e.release
	}
	return nil
}

func markedAt(r *record) time.Time {
	switch {
	case r.stop != nil:
		return r.stop.At
	case r.failed != nil:
		return r.failed.At
	}
	return time.Time{}
}

// giveUp ends a pod whose job does not start. It is marked and kept first, so
// that what became of it can be told, and then deleted: a kubelet that is
// busy with images or volumes looks at nothing else.
func (e *Engine) giveUp(ctx context.Context, r *record) error {
	now := time.Now().UTC()
	e.log.Info("giving up a pod that does not start", "pod", r.name, "why", r.overdue.message)
	kept, err := e.annotate(ctx, r, labelFailed, markText(failedMark{At: now, Result: r.overdue.result, Message: r.overdue.message}), true)
	if err != nil || kept == nil {
		return err
	}
	return e.deletePod(ctx, kept, 1)
}

// finishDeletion deletes a pod whose mark says so.
func (e *Engine) finishDeletion(ctx context.Context, r *record) error {
	grace := int64(1)
	if r.stop != nil {
		grace = max(1, r.stop.Grace)
	}
	return e.deletePod(ctx, r, grace)
}

// endSidecars ends the containers that stand beside a job that has ended: an
// atom is its job, and what was injected beside it would hold the node's
// resources for ever. The pod stays.
func (e *Engine) endSidecars(ctx context.Context, r *record) error {
	_, err := e.change(ctx, r, map[string]any{"spec": map[string]any{"activeDeadlineSeconds": 1}})
	return err
}

// release lets go of a pod that our finalizer keeps.
func (e *Engine) release(ctx context.Context, r *record) error {
	_, err := e.change(ctx, r, map[string]any{"metadata": map[string]any{"finalizers": without(r.keep)}})
	return err
}

func without(finalizers []string) []string {
	rest := slices.DeleteFunc(slices.Clone(finalizers), func(f string) bool { return f == finalizer })
	if rest == nil {
		return []string{}
	}
	return rest
}

// annotate marks a pod, and has our finalizer keep it. It returns nil where
// the pod changed meanwhile and has to be looked at anew.
func (e *Engine) annotate(ctx context.Context, r *record, key, value string, keep bool) (*record, error) {
	meta := map[string]any{"annotations": map[string]any{key: value}}
	if keep && !r.held {
		meta["finalizers"] = append(slices.Clone(r.keep), finalizer)
	}
	return e.change(ctx, r, map[string]any{"metadata": meta})
}

// change patches a pod as it was seen. It returns nil where it is another by
// now, or gone.
func (e *Engine) change(ctx context.Context, r *record, patch map[string]any) (*record, error) {
	meta, ok := patch["metadata"].(map[string]any)
	if !ok {
		meta = make(map[string]any)
		patch["metadata"] = meta
	}
	// Both are preconditions: the API server refuses with a conflict.
	meta["uid"], meta["resourceVersion"] = r.uid, r.version
	pod, err := e.api.patch(ctx, r.name, patch)
	if err == nil {
		now := e.settings.recordOf(pod)
		e.watch.pods.put(now)
		return now, nil
	}
	err = e.api.fault(ctx, err)
	if !isConflict(err) && !isNotFound(err) {
		return nil, err
	}
	_, err = e.find(ctx, r.info.ID, r.owner, true) // brings the watch up to date
	if isNotFound(err) {
		err = nil
	}
	return nil, err
}

// deletePod deletes a pod with so many seconds of grace. That it is gone
// already is no error.
func (e *Engine) deletePod(ctx context.Context, r *record, grace int64) error {
	err := e.api.fault(ctx, e.api.remove(ctx, r.identity, grace))
	if isNotFound(err) || isConflict(err) {
		return nil
	}
	return err
}
