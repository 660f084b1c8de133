//go:build linux || darwin

package process

import (
	"context"

	"github.com/containerd/errdefs"

	"github.com/atom-router/atom-router/atom"
)

// Wait implements atom.Engine.
func (e *Engine) Wait(r *atom.EngineWaitRequest) (atom.Atom, error) {
	if err := e.begin(r.Context); err != nil {
		return nil, err
	}
	v, err := e.store.find(r.Owner, r.ID)
	if err != nil {
		return nil, err
	}
	info, err := e.await(atom.ContextOr(r.Context), v)
	if err != nil {
		return nil, err
	}
	return atom.New(info, e), nil
}

// await returns the atom once it has stopped; where it is deleted meanwhile,
// what was last seen of it, as Deleted with an unknown result.
func (e *Engine) await(ctx context.Context, v *view) (atom.Info, error) {
	if v.exit != nil {
		return v.info(), nil
	}
	sub := e.watch.subscribe()
	defer sub.close()
	sub.add(v.dir, watchLife)
	for {
		now, err := e.store.find(v.meta.Owner, v.meta.ID)
		switch {
		case errdefs.IsNotFound(err):
			info := v.info()
			info.State, info.Result, info.ExitCode = atom.Deleted, atom.Unknown, nil
			info.Message = "deleted before its end was seen"
			return info, nil
		case err != nil:
			return atom.Info{}, err
		case now.exit != nil:
			return now.info(), nil
		}
		v = now
		select {
		case <-sub.C:
		case <-ctx.Done():
			return atom.Info{}, ctx.Err()
		case <-e.closed:
			return atom.Info{}, closedError()
		}
	}
}
