package router

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/containerd/errdefs"

	"github.com/atom-router/atom-router/atom"
)

// Create implements atom.Engine: the rules choose the backend. A request that
// they refuse is a *atom.Rejection. A backend that certainly did not make the atom
// is passed over as the rule says; where that is not certain the error is an
// *atom.OutcomeUnknown.
func (e *Engine) Create(req *atom.EngineCreateRequest) (a atom.Atom, err error) {
	ctx, ended := e.observe(req.Context, "create", nil)
	defer func() {
		backend, id := chosen(a, err)
		ended(backend, id, err)
	}()
	t, release := e.hold()
	defer release()
	r, err := t.request(req)
	if err != nil {
		return nil, opError("create", "", "", err)
	}
	c := creation{engine: e, table: t, request: r, given: r.Key != "" && !r.FreshKey, made: r.Key == ""}
	if r.Key == "" {
		r.Key, r.FreshKey = atom.NewKey(), true
	}
	e.failovers.Earn()
	c.decision = decide(t.config.Rules, t.index, &t.config.Default, r, t.health, false)
	r.Rule = c.decision.Rule
	if o := e.options.Observer; o != nil {
		o.Decided(ctx, c.decision.Rule, c.decision.Rejected != "")
	}
	if c.decision.Rejected != "" {
		return nil, opError("create", "", "", c.decision.Err())
	}
	return c.run(ctx)
}

// Explain tells where a Create of req would go as things stand, and what each
// rule made of it. It asks no backend and launches nothing. Its error says
// that req is invalid; that the rules refuse it is in the Decision.
func (e *Engine) Explain(ctx context.Context, req *atom.EngineCreateRequest) (Decision, error) {
	t, release := e.hold()
	defer release()
	r, err := t.request(req)
	if err != nil {
		return Decision{}, opError("explain", "", "", err)
	}
	r.Context = ctx
	return decide(t.config.Rules, t.index, &t.config.Default, r, t.health, true), ctx.Err()
}

// request is req as it goes to a backend, and nothing of it shared with the
// caller.
func (t *table) request(req *atom.EngineCreateRequest) (*atom.EngineCreateRequest, error) {
	r := *req
	r.Command = slices.Clone(r.Command)
	r.Spec = r.Spec.Clone()
	owner, err := t.owner(r.Owner)
	if err != nil {
		return nil, err
	}
	r.Owner = owner
	return &r, r.Validate()
}

// creation is one Create on its way.
type creation struct {
	engine   *Engine
	table    *table
	request  *atom.EngineCreateRequest
	given    bool // the Key came from the caller
	made     bool // the Key was made up here
	decision Decision
	// last is the latest backend's error, tried how many gave one.
	last  error
	tried int
	// sent says that a backend was asked for the atom.
	sent bool
	// doubt is why one of them may have made the atom all the same.
	doubt error
}

// run tries the decision's candidates in order. What it learns of one is
// written into the decision, and the walk begins anew: what passes over a
// backend that turned out to be full is the same as of one that was known to
// be.
func (c *creation) run(ctx context.Context) (atom.Atom, error) {
	searched := false
	if c.given && len(c.decision.Candidates) > 1 {
		searched = true
		holder, err := c.holder(ctx)
		switch {
		case ctx.Err() != nil:
			return nil, opError("create", "", "", ctx.Err())
		case holder != nil:
			return c.again(ctx, holder)
		case err != nil && !c.decision.AllowDuplicates:
			err = fmt.Errorf("whether the atom exists already is not known, and nothing was created: %w", err)
			return nil, opError("create", "", "", c.unknown(err))
		}
	}
	if c.request.AskedAgain && !c.decision.AllowDuplicates {
		if b := c.keyless(ctx); b != nil {
			err := atom.Errorf(errdefs.ErrUnavailable, "the answer to the first attempt was lost, and this backend does not find its atoms by Keys")
			return nil, opError("create", b.conf.Name, "", c.unknown(err))
		}
	}
	var passed *Candidate // the one tried before
	for {
		walk := c.decision.Walk()
		next := walk.Next()
		if next == nil {
			// The only backend of the rule takes nothing new; an atom that
			// it has already is not new.
			if c.given && !searched {
				if holder, err := c.holder(ctx); err == nil && holder != nil {
					return c.again(ctx, holder)
				}
			}
			return nil, c.failure(walk)
		}
		if passed != nil {
			c.request.Report(passedOver(passed, next))
		}
		passed = next
		b := c.table.byName[next.Backend]
		a, missing, cause, err := c.attempt(ctx, b)
		switch {
		case len(missing) > 0:
			next.Missing, next.Reason = missing, "cannot do "+capabilityNames(missing)
		case cause != "":
			next.Cause, next.Reason = cause, err.Error()
			c.last, c.tried = opError("create", b.conf.Name, "", err), c.tried+1
		case err != nil && c.doubt != nil:
			return nil, c.doubt
		case err == errSpent:
			return nil, opError("create", "", "", c.spent(walk))
		default:
			if err == nil {
				c.tellFalls(ctx, walk)
			}
			return c.engine.adopt("create", b, "", a, err)
		}
	}
}

// keyless returns a backend of the rule that takes no Keys, if there is one
// that answers: an earlier attempt may have made the atom there.
func (c *creation) keyless(ctx context.Context) *backend {
	for _, candidate := range c.decision.Candidates {
		b := c.table.byName[candidate.Backend]
		i, err := b.instance(ctx)
		if err != nil {
			continue
		}
		if has, err := i.capabilities(ctx); err == nil && !has.Has(atom.CapLookup) {
			return b
		}
	}
	return nil
}

// tellFalls tells the observer of those that walk passed over.
func (c *creation) tellFalls(ctx context.Context, walk *Walk) {
	o := c.engine.options.Observer
	if o == nil {
		return
	}
	for _, f := range walk.falls {
		o.FellBack(ctx, c.decision.Rule, f.backend, f.cause)
	}
}

// failure is the error of a request that no backend took: the backend's own
// where the rule leads to one only.
func (c *creation) failure(walk *Walk) error {
	err := walk.Err()
	switch {
	case c.doubt != nil:
		return c.doubt // whatever the others said
	case c.tried == 1 && len(c.decision.Candidates) == 1:
		return c.last
	case c.tried == 0 && len(c.decision.Candidates) == 1:
		if known := c.known(&c.decision.Candidates[0]); known != nil {
			return known
		}
	}
	if c.last != nil {
		err = &reclassed{class: errdefs.Resolve(err), err: withText{err, c.last}}
	}
	return opError("create", "", "", err)
}

// known is why the rule's only backend could not be asked, where an earlier
// call has found that out; nil for other reasons.
func (c *creation) known(only *Candidate) error {
	b := c.table.byName[only.Backend]
	if only.Cause != Unavailable || b.conf.Drain {
		return nil
	}
	return opError("create", b.conf.Name, "", b.status().LastError)
}

// withText is an error that reads as one and lets errors.As find what is in
// another.
type withText struct {
	error
	cause error
}

func (e withText) Unwrap() []error { return []error{e.error, e.cause} }

// attempt asks one backend for the atom. With a cause, err says why the
// backend certainly did not make one; with missing, what it cannot do. Any
// other error ends the creation.
func (c *creation) attempt(ctx context.Context, b *backend) (a atom.Atom, missing []atom.Capability, cause Cause, err error) {
	i, err := b.instance(ctx)
	if err == nil {
		var has atom.Capabilities
		ask := i.capabilities
		if len(c.decision.Candidates) > 1 {
			ask = i.hurried
		}
		if has, err = ask(ctx); err == nil {
			missing = has.Missing(needed(c.request))
		}
		if ctx.Err() == nil {
			b.note(i, err)
		}
	}
	switch {
	case ctx.Err() != nil:
		return nil, nil, "", ctx.Err()
	case err != nil: // not asked to create anything yet
		return nil, nil, Unavailable, err
	case len(missing) > 0:
		return nil, missing, "", nil
	}
	if c.sent && !c.engine.failovers.Take() {
		return nil, nil, "", errSpent
	}
	room := b.rooms.room(c.request.Owner)
	if err := room.take(ctx, b.conf.MaxAtoms, c.count(b)); err != nil {
		var full *fullError
		if errors.As(err, &full) {
			return nil, nil, Full, err
		}
		return nil, nil, "", err
	}
	c.sent = true
	a, err = c.make(ctx, b, i)
	var unknown *atom.OutcomeUnknown
	isUnknown := errors.As(err, &unknown)
	room.give(err == nil || isUnknown)
	switch {
	case err == nil:
	case isUnknown:
		if c.given && c.decision.AllowDuplicates && ctx.Err() == nil {
			cause, c.doubt = Unavailable, opError("create", b.conf.Name, "", err)
		}
	case errdefs.IsResourceExhausted(err):
		cause = Full
	case errdefs.IsUnavailable(err):
		cause = Unavailable
	}
	return a, nil, cause, err
}

func (c *creation) count(b *backend) func(context.Context) (int, error) {
	return func(ctx context.Context) (int, error) {
		atoms, err := c.engine.listOne(ctx, b, &atom.EngineListRequest{Owner: c.request.Owner})
		return alive(atoms), err
	}
}

// make asks the engine, and where it was lost under the call, once more under
// the same Key: whatever the first attempt did, that finds. An Unavailable
// that is no *atom.OutcomeUnknown means that nothing was made.
func (c *creation) make(ctx context.Context, b *backend, i *instance) (atom.Atom, error) {
	r := *c.request
	r.Context = ctx
	r.Progress = c.progressOf(b)
	has, err := i.capabilities(ctx)
	if err != nil {
		return nil, err
	}
	once := has.Has(atom.CapLookup)
	if !once {
		r.Key, r.FreshKey = "", false // the engine would not know what to do with it
	}
	bound, end := b.bound(ctx, i)
	defer end()
	r.Context = bound
	late := time.AfterFunc(probeTimeout, i.slow)
	defer late.Stop()
	a, err := i.engine.Create(&r)
	r.Context = ctx
	if err == nil {
		b.note(i, nil)
		return a, nil
	}
	if ctx.Err() != nil && once && c.made {
		// Nobody knows the Key, and the engine may be at work yet.
		c.engine.throwOut(b, r.Owner, r.Key)
	}
	i.doubt(err)
	if !unsure(ctx, i, err) {
		return nil, b.endOf(ctx, err)
	}
	if once {
		if r.FreshKey {
			r.FreshKey, r.AskedAgain = false, true
		}
		a, err = askAgain(ctx, b, &r, func(ctx context.Context) (atom.Atom, error) {
			return c.engine.lookupOne(ctx, b, r.Owner, r.Key)
		})
		if err == nil || !errdefs.IsUnavailable(err) && ctx.Err() == nil {
			return a, err
		}
	}
	return nil, c.unknown(ended(ctx, err))
}

// askAgain sends a request again whose first sending may have made an atom. A
// refusal does not tell whether it has, since a quota or a full disk is met
// before the atom is: it counts when find says that there is none.
func askAgain(ctx context.Context, b *backend, r *atom.EngineCreateRequest, find func(context.Context) (atom.Atom, error)) (atom.Atom, error) {
	i, err := b.instance(ctx)
	if err != nil {
		return nil, err
	}
	a, err := i.engine.Create(r)
	if err == nil || errdefs.IsUnavailable(err) || ctx.Err() != nil {
		return a, err
	}
	found, ferr := find(ctx)
	switch {
	case ferr != nil:
		return nil, atom.Errorf(errdefs.ErrUnavailable, "%v; whether it has the atom: %w", err, ferr)
	case found != nil && !errdefs.IsAlreadyExists(err):
		return found, nil
	}
	return nil, err
}

// unsure reports whether a Create that failed with err may have made an atom.
// Where that is because the instance is going, it is gone afterwards.
func unsure(ctx context.Context, i *instance, err error) bool {
	gone := lost(ctx, i, err)
	var unknown *atom.OutcomeUnknown
	return gone || errors.As(err, &unknown)
}

// unknown is err as an *atom.OutcomeUnknown, once.
func (c *creation) unknown(err error) error { return outcomeUnknown(c.request.Key, err) }

func outcomeUnknown(key string, err error) error {
	var unknown *atom.OutcomeUnknown
	if errors.As(err, &unknown) {
		err = unknown.Err
	}
	return &atom.OutcomeUnknown{Key: key, Err: err}
}
