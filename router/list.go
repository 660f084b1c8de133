package router

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"

	"github.com/containerd/errdefs"

	"github.com/atom-router/atom-router/atom"
)

// PartialError says which backends did not answer a List that others did
// answer. It is Unavailable.
type PartialError struct {
	// Failed has one error for each backend that did not answer, in the
	// config's order.
	Failed []*atom.OpError
}

func (e *PartialError) Error() string {
	var parts []string
	for _, f := range e.Failed {
		parts = append(parts, f.Backend+": "+f.Err.Error())
	}
	return "no answer from " + strings.Join(parts, "; ")
}

// Unwrap gives the class Unavailable and the backends' errors.
func (e *PartialError) Unwrap() []error {
	errs := []error{errdefs.ErrUnavailable}
	for _, f := range e.Failed {
		errs = append(errs, f)
	}
	return errs
}

// List implements atom.Engine over all backends. Where some do not answer in
// time it returns the atoms of the others and an error that holds a
// *PartialError.
func (e *Engine) List(req *atom.EngineListRequest) ([]atom.Atom, error) {
	return e.ListBackends(req)
}

// ListBackends is List restricted to some backends; a name that the config
// does not know is NotFound. Without names it is List.
func (e *Engine) ListBackends(req *atom.EngineListRequest, names ...string) ([]atom.Atom, error) {
	t, release := e.hold()
	defer release()
	bs, err := t.named(names)
	if err != nil {
		return nil, e.refusedList(req, err)
	}
	return e.list(req, t, bs)
}

func (e *Engine) list(req *atom.EngineListRequest, t *table, bs []*backend) ([]atom.Atom, error) {
	ctx := atom.ContextOr(req.Context)
	owner, err := t.owner(req.Owner)
	if err != nil {
		return nil, e.refusedList(req, err)
	}
	lists := make([][]atom.Atom, len(bs))
	errs := make([]error, len(bs))
	each(bs, func(n int, b *backend) {
		ctx, ended := e.observe(ctx, "list", b)
		lists[n], errs[n] = e.listOne(ctx, b, &atom.EngineListRequest{Since: req.Since, Before: req.Before, Owner: owner})
		ended(b.conf.Name, "", errs[n])
	})
	if ctx.Err() != nil {
		return nil, opError("list", "", "", ctx.Err())
	}
	var all []atom.Atom
	var partial PartialError
	for n, b := range bs {
		if errs[n] != nil {
			partial.Failed = append(partial.Failed, opError("list", b.conf.Name, "", errs[n]).(*atom.OpError))
			continue
		}
		for _, a := range lists[n] {
			all = append(all, e.own(b, a))
		}
	}
	slices.SortStableFunc(all, func(a, b atom.Atom) int {
		return cmp.Or(a.CreatedAt().Compare(b.CreatedAt()), cmp.Compare(a.ID(), b.ID()))
	})
	if len(partial.Failed) > 0 {
		return all, opError("list", "", "", &partial)
	}
	return all, nil
}

// refusedList is the error of a List that asks no backend.
func (e *Engine) refusedList(req *atom.EngineListRequest, err error) error {
	_, ended := e.observe(req.Context, "list", nil)
	err = opError("list", "", "", err)
	ended("", "", err)
	return err
}

// listOne lists a backend within the router's own deadline, its start
// included. IDs are the backend's own.
func (e *Engine) listOne(ctx context.Context, b *backend, req *atom.EngineListRequest) ([]atom.Atom, error) {
	ctx, cancel := context.WithTimeout(ctx, e.options.AskTimeout)
	defer cancel()
	atoms, err := ask(ctx, b, func(ctx context.Context, i *instance) ([]atom.Atom, error) {
		r := *req
		r.Context = ctx
		return i.engine.List(&r)
	})
	return atoms, e.late(ctx, err)
}

// each calls fn for all backends at once and returns when all calls have.
func each(bs []*backend, fn func(int, *backend)) {
	var wg sync.WaitGroup
	for n, b := range bs {
		wg.Go(func() { fn(n, b) })
	}
	wg.Wait()
}
