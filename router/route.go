package router

import (
	"context"
	"io"

	"github.com/containerd/errdefs"

	"github.com/atom-router/atom-router/atom"
)

// Get implements atom.Engine.
func (e *Engine) Get(req *atom.EngineGetRequest) (a atom.Atom, err error) {
	b, r, err := e.route("get", req.ID, req.Owner)
	ctx, ended := e.observe(req.Context, "get", b)
	defer func() { ended(b.name(), req.ID, err) }()
	if err != nil {
		return nil, err
	}
	defer r.release()
	a, err = ask(ctx, b, func(ctx context.Context, i *instance) (atom.Atom, error) {
		ctx, end := within(ctx, e.options.AskTimeout)
		defer end()
		a, err := i.engine.Get(&atom.EngineGetRequest{ID: r.native, Owner: r.owner, Context: ctx})
		return a, e.late(ctx, err)
	})
	return e.adopt("get", b, req.ID, a, err)
}

// Wait implements atom.Engine. It outlives the backend's plugin: while that is
// started again the Wait goes on, and ends with Unavailable once the backend
// has failed.
func (e *Engine) Wait(req *atom.EngineWaitRequest) (a atom.Atom, err error) {
	b, r, err := e.route("wait", req.ID, req.Owner)
	ctx, ended := e.observe(req.Context, "wait", b)
	defer func() { ended(b.name(), req.ID, err) }()
	if err != nil {
		return nil, err
	}
	defer r.release()
	a, err = waitFor(ctx, b, r, e.options.Observer)
	return e.adopt("wait", b, req.ID, a, err)
}

// Stop implements atom.Engine.
func (e *Engine) Stop(req *atom.EngineStopRequest) (err error) {
	b, r, err := e.route("stop", req.ID, req.Owner)
	ctx, ended := e.observe(req.Context, "stop", b)
	defer func() { ended(b.name(), req.ID, err) }()
	if err != nil {
		return err
	}
	defer r.release()
	_, err = ask(ctx, b, func(ctx context.Context, i *instance) (struct{}, error) {
		s := *req
		s.ID, s.Owner, s.Context = r.native, r.owner, ctx
		return struct{}{}, i.engine.Stop(&s)
	})
	return opError("stop", b.conf.Name, req.ID, err)
}

// Delete implements atom.Deleter. At a backend that cannot delete it is
// NotImplemented.
func (e *Engine) Delete(req *atom.EngineDeleteRequest) (err error) {
	b, r, err := e.route("delete", req.ID, req.Owner)
	ctx, ended := e.observe(req.Context, "delete", b)
	defer func() { ended(b.name(), req.ID, err) }()
	if err != nil {
		return err
	}
	defer r.release()
	asked := 0
	_, err = ask(ctx, b, func(ctx context.Context, i *instance) (struct{}, error) {
		d, ok := i.engine.(atom.Deleter)
		if !ok {
			return struct{}{}, lacks(b, atom.CapDelete)
		}
		asked++
		err := d.Delete(&atom.EngineDeleteRequest{ID: r.native, Force: req.Force, Owner: r.owner, Context: ctx})
		if asked > 1 && noAtom(err) {
			err = nil // what the plugin that died had done already
		}
		return struct{}{}, err
	})
	return opError("delete", b.conf.Name, req.ID, err)
}

// Logs implements atom.Engine. Its reader is an *atom.LogReader. Like a Wait it
// outlives the backend's plugin, and neither loses nor repeats a byte.
func (e *Engine) Logs(req *atom.EngineLogsRequest) (io.ReadCloser, error) {
	b, r, err := e.route("logs", req.ID, req.Owner)
	ctx, ended := e.observe(req.Context, "logs", b)
	if err != nil {
		ended(b.name(), req.ID, err)
		return nil, err
	}
	theirs := *req
	theirs.ID, theirs.Owner = r.native, r.owner
	logs, err := newLasting(ctx, b, theirs, e.options.Observer)
	if err != nil {
		r.release()
		err = opError("logs", b.conf.Name, req.ID, err)
		ended(b.conf.Name, req.ID, err)
		return nil, err
	}
	p := &prefixed{logs: logs, backend: b.conf.Name, id: req.ID, release: r.release, ended: ended, observer: e.options.Observer}
	// A reader whose context has ended need not be closed to let go.
	p.stop = context.AfterFunc(ctx, func() { p.finish(ctx.Err()) })
	return atom.NewLogReader(p, req.Timestamps), nil
}

// routed is what a backend is asked about.
type routed struct {
	native, owner string
	engine        *Engine
	backend       *backend
}

// release ends the hold on the backend; it is needed once.
func (r routed) release() { r.engine.release(r.backend) }

// route finds the backend that an ID names, and holds it. Its errors carry the
// prefix.
func (e *Engine) route(op, id, owner string) (*backend, routed, error) {
	name, native, err := splitID(id)
	if err != nil {
		return nil, routed{}, opError(op, "", "", err) // without the malformed ID
	}
	t, b, err := e.holdOne(name)
	if err != nil {
		return nil, routed{}, opError(op, "", id, err)
	}
	owner, err = t.owner(owner)
	if err != nil {
		e.release(b)
		return nil, routed{}, opError(op, b.conf.Name, id, err)
	}
	return b, routed{native, owner, e, b}, nil
}

// adopt makes a backend's atom the router's, and its error prefixed. id is
// the atom's as the caller knows it, "" where there is none yet.
func (e *Engine) adopt(op string, b *backend, id string, a atom.Atom, err error) (atom.Atom, error) {
	if err == nil && a == nil {
		err = atom.Errorf(errdefs.ErrInternal, "the engine returned neither an atom nor an error")
	}
	if err != nil {
		return nil, opError(op, b.conf.Name, id, err)
	}
	return e.own(b, a), nil
}

// own is a backend's atom as the router's callers see it.
func (e *Engine) own(b *backend, a atom.Atom) atom.Atom {
	info := atom.InfoOf(a)
	info.ID = joinID(b.conf.Name, info.ID)
	return atom.New(info, e)
}

// late says Unavailable where the router's own deadline, that of ctx, ended a
// call.
func (e *Engine) late(ctx context.Context, err error) error {
	if err == nil || ctx.Err() != context.DeadlineExceeded && context.Cause(ctx) != errLate {
		return err
	}
	return atom.Errorf(errdefs.ErrUnavailable, "no answer within %v", e.options.AskTimeout)
}

// ask calls fn with b's instance, and once more with the next one where the
// first was lost under the call: everything but Create may be asked twice.
// When ctx has ended, its error is returned.
func ask[T any](ctx context.Context, b *backend, fn func(context.Context, *instance) (T, error)) (T, error) {
	return askAgainIf(ctx, b, func() bool { return true }, fn)
}

// askAgainIf is ask, but that may is asked before fn is called once more.
func askAgainIf[T any](ctx context.Context, b *backend, may func() bool, fn func(context.Context, *instance) (T, error)) (T, error) {
	for again := false; ; again = true {
		var none T
		i, err := b.instance(ctx)
		if err != nil {
			return none, err
		}
		bound, end := b.bound(ctx, i)
		v, err := fn(bound, i)
		end()
		if err == nil {
			b.note(i, nil)
			return v, nil
		}
		if ctx.Err() != nil {
			return none, ended(ctx, err)
		}
		if !again && lost(ctx, i, err) && may() {
			continue
		}
		i.doubt(err)
		return none, b.endOf(ctx, err)
	}
}

// lost reports whether err came of the instance's end.
func lost(ctx context.Context, i *instance, err error) bool {
	return errdefs.IsUnavailable(err) && i.gone(ctx)
}

// can refuses what a backend cannot do.
func can(ctx context.Context, b *backend, i *instance, needs ...atom.Capability) error {
	if b.conf.Address != "" {
		return nil // what holds is the other router's backend's
	}
	has, err := i.capabilities(ctx)
	if err != nil {
		return err
	}
	if missing := has.Missing(needs); len(missing) > 0 {
		return lacks(b, missing...)
	}
	return nil
}

func lacks(b *backend, missing ...atom.Capability) error {
	return atom.Errorf(errdefs.ErrNotImplemented, "backend %s cannot do what the request needs: %s",
		quote(b.conf.Name), capabilityNames(missing))
}
