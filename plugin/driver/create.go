package driver

import (
	"cmp"
	"context"
	"fmt"
	"runtime/debug"
	"slices"
	"time"

	"github.com/containerd/errdefs"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/plugin/spool"
)

// creation is a Start under way, for all Creates that wait for it.
type creation struct {
	audience
	hash   string
	cancel context.CancelFunc
	wanted int // by so many Creates; at 0 it is given up
	done   chan struct{}
	// These are set when done is closed.
	record  *record
	err     error
	givenUp bool
}

// Create implements atom.Engine.
func (e *Engine) Create(q *atom.EngineCreateRequest) (atom.Atom, error) {
	if err := e.begin(q.Context, q.Owner); err != nil {
		return nil, err
	}
	if err := q.Validate(); err != nil {
		return nil, err
	}
	if lacks := e.can.Missing(q.Needs()); len(lacks) > 0 {
		return nil, atom.Errorf(errdefs.ErrNotImplemented, "the engine lacks %v", lacks)
	}
	if !e.can.Has(atom.CapImages) && len(q.Command)+len(q.Spec.Entrypoint) == 0 {
		return nil, &atom.FieldError{Field: "command", Reason: "is required: there is no image that could name a program"}
	}
	own := *q // the caller may go on with its own
	own.Owner, own.Key = atom.OwnerOr(q.Owner), cmp.Or(q.Key, atom.NewKey())
	own.Command, own.Spec, own.Progress = slices.Clone(q.Command), q.Spec.Clone(), nil
	for {
		c, r, err := e.join(&own)
		if err != nil {
			return nil, err
		}
		if r != nil {
			return r.atom(), nil
		}
		leave := c.listen(q.Progress)
		select {
		case <-c.done:
		case <-atom.ContextOr(q.Context).Done():
			if e.leave(c) {
				leave()
				return nil, q.Context.Err()
			}
		}
		leave()
		switch {
		case c.givenUp: // before we came
			continue
		case c.err != nil:
			return nil, c.err
		}
		return c.record.atom(), nil
	}
}

// join returns the atom that there is for q, or the creation that makes it,
// which is begun where there is none.
func (e *Engine) join(q *atom.EngineCreateRequest) (*creation, *record, error) {
	native, hash := atom.NativeName(q.Owner, q.Key), q.Hash()
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil, nil, errClosed()
	}
	other := func(what string) error {
		return atom.Errorf(errdefs.ErrAlreadyExists, "key %q belongs to %s, which another request made", q.Key, what)
	}
	if r := e.byName[native]; r != nil {
		if r.hash != hash {
			return nil, nil, other("atom " + r.id)
		}
		return nil, r, nil
	}
	if c := e.starting[native]; c != nil {
		if c.wanted > 0 && c.hash != hash {
			return nil, nil, other("an atom")
		}
		if c.wanted > 0 {
			c.wanted++
		}
		return c, nil, nil
	}
	ctx, cancel := context.WithCancel(e.ctx)
	c := &creation{hash: hash, cancel: cancel, wanted: 1, done: make(chan struct{})}
	e.starting[native] = c
	e.jobs.Add(1)
	go func() { // ends with the job, which Close ends at the latest
		defer e.jobs.Done()
		defer cancel()
		e.create(ctx, c, q, native)
	}()
	return c, nil, nil
}

// leave is called by a Create that would wait for c no longer; false where c
// is done, so that there is no need to.
func (e *Engine) leave(c *creation) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	select {
	case <-c.done:
		return false
	default:
	}
	if c.wanted > 0 { // 0 where it was given up before we came
		if c.wanted--; c.wanted == 0 {
			c.cancel()
		}
	}
	return true
}

// create starts a job and watches it to its end.
func (e *Engine) create(ctx context.Context, c *creation, q *atom.EngineCreateRequest, native string) {
	r := &record{
		engine: e, owner: q.Owner, native: native, hash: c.hash, id: native + "." + atom.NewKey()[:16],
		output: spool.New(e.options.LogBytes), ended: make(chan struct{}),
		stopTimeout: cmp.Or(q.Spec.StopTimeout, e.options.StopTimeout),
	}
	labels := q.Spec.Clone().Labels // the driver may do with q what it likes
	r.info = atom.Info{ID: r.id, Name: q.Name, Image: q.Image, Labels: labels, Rule: q.Rule, State: atom.Running}
	q.Context, q.Progress = ctx, c.tell
	r.job, c.err = e.start(ctx, q, r)
	e.mu.Lock()
	c.givenUp = c.wanted == 0
	switch {
	case c.err != nil:
	case c.givenUp || e.closed:
		// Its key stays taken until it has ended.
		c.err = errClosed()
		e.mu.Unlock()
		_ = r.stop(true)
		r.watch()
		e.mu.Lock()
	default:
		// CreatedAt is when others see it, and no two have the same, so that
		// who lists with Since misses none.
		r.created = time.Now()
		if !r.created.After(e.last) {
			r.created = e.last.Add(1)
		}
		e.last = r.created
		r.info.CreatedAt, r.info.StartedAt = r.created, r.created
		e.byID[r.id], e.byName[native] = r, r
		c.record = r
	}
	delete(e.starting, native)
	close(c.done)
	e.mu.Unlock()
	if c.record != nil {
		r.watch()
	}
}

// start asks the driver. A panic of its is an Internal error.
func (e *Engine) start(ctx context.Context, q *atom.EngineCreateRequest, r *record) (job Job, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = atom.Errorf(errdefs.ErrInternal, "the driver panicked in Start: %v\n%s", p, debug.Stack())
		}
	}()
	job, err = e.driver.Start(ctx, q, r.output.Writer(atom.Stdout), r.output.Writer(atom.Stderr))
	if err == nil && job == nil {
		err = fmt.Errorf("the driver started no job")
	}
	return job, err
}
