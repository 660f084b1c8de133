package kube

import (
	"context"
	"time"

	"github.com/atom-router/atom-router/atom"
)

// lookAgain is how long a Wait trusts the watch alone. While that does not work
// it is the watch that asks again, once for all who wait.
const lookAgain = 5 * time.Minute

// Wait returns the atom once its job has ended. While the API server is away
// it goes on waiting; credentials that are not accepted any more end it.
func (e *Engine) Wait(r *atom.EngineWaitRequest) (atom.Atom, error) {
	ctx, cancel := e.bound(atom.ContextOr(r.Context))
	defer cancel()
	e.watch.start()
	found, err := e.find(ctx, r.ID, r.Owner, false)
	if err != nil {
		return nil, err
	}
	end, err := e.await(ctx, found, func(now *record) bool { return now.over })
	if err != nil {
		return nil, err
	}
	return atom.New(end, e), nil
}

// await waits until the pod is as wanted, or gone, and says what it was last.
func (e *Engine) await(ctx context.Context, last *record, wanted func(*record) bool) (atom.Info, error) {
	e.watch.start()
	t := e.watch.pods.join(last)
	defer t.leave()
	for {
		now, gone := t.now()
		switch {
		case ctx.Err() != nil:
			return atom.Info{}, endOf(ctx)
		case wanted(now):
			return now.info, nil
		case gone:
			return obituary(now), nil
		case t.refusal() != nil:
			return atom.Info{}, t.refusal()
		}
		timer := time.NewTimer(lookAgain)
		select {
		case <-t.look:
			timer.Stop()
			continue
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			continue
		}
		// The watch should have told; nobody knows what lies between.
		_, _ = e.find(ctx, now.info.ID, now.owner, true) // wakes t, if there is news
	}
}

// obituary tells of a pod that is gone: how it ended if that was seen, and
// else that nobody knows.
func obituary(last *record) atom.Info {
	info := last.info
	if !last.over || info.Result == atom.StartupFailure && last.failed == nil {
		info.State, info.Result, info.ExitCode = atom.Deleted, atom.Unknown, nil
		info.Message = "the pod was deleted, and nobody saw how it ended"
	}
	return info
}
