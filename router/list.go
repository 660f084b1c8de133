package router

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

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
	bs, owner, err := t.toList(req, names)
	if err != nil {
		return nil, e.refusedList(req, err)
	}
	ctx := atom.ContextOr(req.Context)
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
	for n, b := range bs {
		for _, a := range lists[n] {
			all = append(all, e.own(b, a))
		}
	}
	slices.SortStableFunc(all, atom.CompareAge)
	return all, partial(bs, errs)
}

// StreamList implements atom.ListStreamer over all backends, whose atoms come
// mixed. Of a backend that does not answer, or no longer, which the
// *PartialError says, atoms may be missing.
func (e *Engine) StreamList(req *atom.EngineListRequest, found func(atom.Atom) error) error {
	return e.StreamBackends(req, found)
}

// StreamBackends is StreamList restricted to some backends, as ListBackends is
// List.
func (e *Engine) StreamBackends(req *atom.EngineListRequest, found func(atom.Atom) error, names ...string) error {
	t, release := e.hold()
	defer release()
	bs, owner, err := t.toList(req, names)
	if err != nil {
		return e.refusedList(req, err)
	}
	ctx, cancel := context.WithCancel(atom.ContextOr(req.Context))
	defer cancel()
	var turn sync.Mutex
	var enough error // found's
	errs := make([]error, len(bs))
	each(bs, func(n int, b *backend) {
		ctx, ended := e.observe(ctx, "list", b)
		var given bool
		fresh := func() bool { return !given }
		errs[n] = e.streamOne(ctx, b, &atom.EngineListRequest{Since: req.Since, Before: req.Before, Owner: owner}, fresh, func(a atom.Atom) error {
			turn.Lock()
			defer turn.Unlock()
			if given = true; enough == nil {
				enough = found(e.own(b, a))
			}
			if enough != nil {
				cancel()
			}
			return enough
		})
		ended(b.conf.Name, "", errs[n])
	})
	if enough != nil {
		return enough
	}
	if ctx.Err() != nil {
		return opError("list", "", "", ctx.Err())
	}
	return partial(bs, errs)
}

// toList are the backends that a List asks, and about whose atoms.
func (t *table) toList(req *atom.EngineListRequest, names []string) (bs []*backend, owner string, err error) {
	if bs, err = t.named(names); err != nil {
		return nil, "", err
	}
	owner, err = t.owner(req.Owner)
	return bs, owner, err
}

// partial is the error of a List that some backends did not answer, as errs
// says; nil where all did.
func partial(bs []*backend, errs []error) error {
	var p PartialError
	for n, b := range bs {
		if errs[n] != nil {
			p.Failed = append(p.Failed, opError("list", b.conf.Name, "", errs[n]).(*atom.OpError))
		}
	}
	if len(p.Failed) == 0 {
		return nil
	}
	return opError("list", "", "", &p)
}

// refusedList is the error of a List that asks no backend.
func (e *Engine) refusedList(req *atom.EngineListRequest, err error) error {
	_, ended := e.observe(req.Context, "list", nil)
	err = opError("list", "", "", err)
	ended("", "", err)
	return err
}

// listOne lists a backend, in no order, and gives all of it or nothing. IDs are
// the backend's own.
func (e *Engine) listOne(ctx context.Context, b *backend, req *atom.EngineListRequest) ([]atom.Atom, error) {
	var atoms []atom.Atom
	afresh := func() bool { atoms = nil; return true }
	err := e.streamOne(ctx, b, req, afresh, func(a atom.Atom) error {
		atoms = append(atoms, a)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return atoms, nil
}

// errLate ends a call for want of an answer.
var errLate = errors.New("no answer in time")

// streamOne streams a backend's atoms. The router's own deadline is for the
// first, the backend's start included, and again for each that follows; the
// time that found takes does not count. may is asked before it begins anew with
// the next plugin.
func (e *Engine) streamOne(ctx context.Context, b *backend, req *atom.EngineListRequest, may func() bool, found func(atom.Atom) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	late := time.AfterFunc(e.options.AskTimeout, func() { cancel(errLate) })
	defer late.Stop()
	_, err := askAgainIf(ctx, b, may, func(ctx context.Context, i *instance) (struct{}, error) {
		r := *req
		r.Context = ctx
		return struct{}{}, atom.StreamList(i.engine, &r, func(a atom.Atom) error {
			late.Stop()
			defer late.Reset(e.options.AskTimeout)
			return found(a)
		})
	})
	if err != nil && context.Cause(ctx) == errLate {
		return atom.Errorf(errdefs.ErrUnavailable, "no answer within %v", e.options.AskTimeout)
	}
	return err
}

// each calls fn for all backends at once and returns when all calls have.
func each(bs []*backend, fn func(int, *backend)) {
	var wg sync.WaitGroup
	for n, b := range bs {
		wg.Go(func() { fn(n, b) })
	}
	wg.Wait()
}
