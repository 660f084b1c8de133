package router

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/containerd/errdefs"

	"github.com/atom-router/atom-router/atom"
)

// Lookup implements atom.Lookuper over all backends that can look up. It is
// NotFound when all of them answered that they have no such atom, and
// Unavailable when some did not answer.
func (e *Engine) Lookup(req *atom.EngineLookupRequest) (found atom.Atom, err error) {
	ctx, ended := e.observe(req.Context, "lookup", nil)
	defer func() {
		backend, id := chosen(found, err)
		ended(backend, id, err)
	}()
	t, release := e.hold()
	defer release()
	owner, err := t.owner(req.Owner)
	if err == nil {
		err = atom.ValidateKey(req.Key)
	}
	if err == nil && req.Key == "" {
		err = &atom.FieldError{Field: "key", Reason: "is required"}
	}
	if err != nil {
		return nil, opError("lookup", "", "", err)
	}
	b, a, err := e.search(ctx, t.backends, owner, req.Key)
	switch {
	case err != nil:
		return nil, opError("lookup", "", "", err)
	case a == nil:
		return nil, opError("lookup", "", "", atom.Errorf(errdefs.ErrNotFound, "no backend has an atom of owner %q under key %s", owner, quote(req.Key)))
	}
	return e.own(b, a), nil
}

// search looks the Key up on all of bs at once and returns as soon as one has
// it. Without an error, nil says that none has. The error is ctx's, or names
// those who did not answer.
func (e *Engine) search(ctx context.Context, bs []*backend, owner, key string) (*backend, atom.Atom, error) {
	type answer struct {
		n   int
		a   atom.Atom
		err error
	}
	// Those who are not waited for any more end with asked, and find room in
	// the channel.
	answers := make(chan answer, len(bs))
	asked, cancel := context.WithTimeout(ctx, e.options.AskTimeout)
	defer cancel()
	for n, b := range bs {
		go func() { // ends with the search
			a, err := e.lookupOne(asked, b, owner, key)
			answers <- answer{n, a, err}
		}()
	}
	errs := make([]error, len(bs))
	for range bs {
		got := <-answers
		if got.a != nil {
			return bs[got.n], got.a, nil
		}
		errs[got.n] = got.err
	}
	if ctx.Err() != nil {
		return nil, nil, ctx.Err()
	}
	var silent []string
	var cause error
	for n, err := range errs {
		if err != nil {
			silent = append(silent, fmt.Sprintf("%s: %v", bs[n].conf.Name, err))
			cause = err
		}
	}
	if cause == nil {
		return nil, nil, nil
	}
	text := fmt.Errorf("no answer from %s", strings.Join(silent, "; "))
	return nil, nil, &reclassed{class: errdefs.ErrUnavailable, err: withText{text, cause}}
}

// lookupOne returns the atom, or nil where the backend says that it has none.
func (e *Engine) lookupOne(ctx context.Context, b *backend, owner, key string) (atom.Atom, error) {
	a, err := ask(ctx, b, func(ctx context.Context, i *instance) (atom.Atom, error) {
		has, err := i.capabilities(ctx)
		if err != nil {
			return nil, err
		}
		l, ok := i.engine.(atom.Lookuper)
		if !ok || !has.Has(atom.CapLookup) {
			return nil, nil // then it was never sent this Key
		}
		return l.Lookup(&atom.EngineLookupRequest{Key: key, Owner: owner, Context: ctx})
	})
	if errdefs.IsNotFound(err) || errdefs.IsNotImplemented(err) {
		return nil, nil
	}
	return a, e.late(ctx, err)
}

// holder looks for the atom of a caller's Key on every backend of the rule,
// before another one is made.
func (c *creation) holder(ctx context.Context) (*backend, error) {
	var bs []*backend
	for _, candidate := range c.decision.Candidates {
		if b := c.table.byName[candidate.Backend]; !slices.Contains(bs, b) {
			bs = append(bs, b)
		}
	}
	b, _, err := c.engine.search(ctx, bs, c.request.Owner, c.request.Key)
	return b, err
}

// again sends the request to the backend that has its atom, which judges
// whether it is the same request.
func (c *creation) again(ctx context.Context, b *backend) (atom.Atom, error) {
	i, err := b.instance(ctx)
	if err != nil {
		return nil, opError("create", b.conf.Name, "", err)
	}
	a, err := c.make(ctx, b, i)
	return c.engine.adopt("create", b, "", a, err)
}
