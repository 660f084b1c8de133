package kube

import (
	"cmp"
	"slices"

	"github.com/atom-router/atom-router/atom"
)

// List returns the owner's atoms created in [Since, Before), oldest first: as
// the watch has them, and as the API server has them where that cannot be
// relied upon.
func (e *Engine) List(r *atom.EngineListRequest) ([]atom.Atom, error) {
	ctx, cancel := e.bound(atom.ContextOr(r.Context))
	defer cancel()
	if err := atom.ValidateOwner(r.Owner); err != nil {
		return nil, err
	}
	if ctx.Err() != nil {
		return nil, endOf(ctx)
	}
	pass := func(p *record) bool {
		at := p.info.CreatedAt
		return p.ours(r.Owner) && (r.Since.IsZero() || !at.Before(r.Since)) && (r.Before.IsZero() || at.Before(r.Before))
	}
	found, current := e.watch.pods.all(pass)
	if !current {
		all, _, err := e.listPods(ctx, atom.LabelOwner+"="+atom.OwnerOr(r.Owner))
		if err != nil {
			return nil, e.api.fault(ctx, err)
		}
		found = slices.DeleteFunc(all, func(p *record) bool { return !pass(p) })
		e.watch.start() // for the next
	}
	slices.SortFunc(found, func(a, b *record) int {
		return cmp.Or(a.info.CreatedAt.Compare(b.info.CreatedAt), cmp.Compare(a.name, b.name))
	})
	atoms := make([]atom.Atom, len(found))
	for i, p := range found {
		atoms[i] = e.atomOf(p)
	}
	return atoms, nil
}
