package router

import (
	"context"
	"slices"

	"github.com/atom-router/atom-router/atom"
)

// Probe implements atom.Prober: what the backends can do together, as far as
// they were asked already; those that were not are asked now. It is
// Unavailable where none of them has answered.
func (e *Engine) Probe(ctx context.Context) (atom.Capabilities, error) {
	t, release := e.hold()
	defer release()
	errs := make([]error, len(t.backends))
	each(t.backends, func(n int, b *backend) {
		if b.health().Capabilities == nil {
			errs[n] = answers(ctx, b)
		}
	})
	if ctx.Err() != nil {
		return nil, opError("probe", "", "", ctx.Err())
	}
	var can atom.Capabilities
	for _, b := range t.backends {
		has := b.health().Capabilities
		if has != nil && can == nil {
			can = atom.Capabilities{}
		}
		for _, c := range has {
			if !slices.Contains(can, c) {
				can = append(can, c)
			}
		}
	}
	if can != nil {
		return can, nil
	}
	for n, err := range errs {
		if err != nil {
			return nil, opError("probe", t.backends[n].conf.Name, "", err)
		}
	}
	return nil, opError("probe", "", "", errClosed())
}
