package kube

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/atom-router/atom-router/atom"
)

const (
	// lookAgain is how long a Wait trusts the watch alone, and up to as much
	// again at random: thousands of Waits begin at the same moment when a
	// router does. While the watch does not work it is the watch that asks
	// again, once for all who wait.
	lookAgain = 5 * time.Minute
	// looksAtOnce is how many Waits ask the API server for their pods while
	// the watch does not know them yet. The others find theirs in its first
	// list, which would queue behind their requests otherwise.
	looksAtOnce = 4
)

// Wait returns the atom once its job has ended. While the API server is away
// it goes on waiting; credentials that are not accepted any more end it.
func (e *Engine) Wait(r *atom.EngineWaitRequest) (atom.Atom, error) {
	ctx, cancel := e.bound(atom.ContextOr(r.Context))
	defer cancel()
	e.watch.start()
	found, err := e.look(ctx, r.ID, r.Owner)
	if err != nil {
		return nil, err
	}
	end, err := e.await(ctx, found, func(now *record) bool { return now.over })
	if err != nil {
		return nil, err
	}
	return atom.New(end, e), nil
}

// look is find when it is the Wait's turn.
func (e *Engine) look(ctx context.Context, id, owner string) (*record, error) {
	select {
	case e.looking <- struct{}{}:
		defer func() { <-e.looking }()
		return e.find(ctx, id, owner, false)
	case <-ctx.Done():
		return nil, endOf(ctx)
	}
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
		timer := time.NewTimer(lookAgain + rand.N(lookAgain))
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
