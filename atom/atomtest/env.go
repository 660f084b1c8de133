package atomtest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/containerd/errdefs"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/atom/atomtest/internal/steps"
)

// Env is what promises are checked against. A harness fills in the fields;
// checks call the methods.
type Env struct {
	// Engine is the candidate.
	Engine atom.Engine
	// Capabilities are those that hold for it. Promises that need others are
	// skipped, and requests that need others must be refused.
	Capabilities atom.Capabilities
	// Image is the probe image (WriteProbeImage) as the engine knows it.
	// Engines without CapImages only record it: any name will do, and none
	// is needed.
	Image string
	// Program is the path of the probe program as atoms see it; "" is
	// /probe, where the image has it. Engines without CapImages need a path
	// of their host (BuildProbe).
	Program string
	// Owner is put into every request; "" leaves it to the engine.
	Owner string
	// Labels are added to those of every create. A router's harness picks
	// the backend with them.
	Labels map[string]string
	// Scratch is an empty directory that exists under the same path here
	// and where atoms run. CapMountBind needs it.
	Scratch string
	// Volume is the volume that CapMountVolume is tried with; "" is
	// "atomtest". It is left behind.
	Volume string
	// Timeout bounds each promise; 0 is two minutes.
	Timeout time.Duration
	// Ignore names goroutines, by their stack as runtime.Stack writes it,
	// that may live on when the run is over. nil ignores none.
	Ignore func(stack string) bool

	session *session
}

// session is what one check leaves to be tidied up.
type session struct {
	mu    sync.Mutex
	atoms []made
}

type made struct{ id, owner string }

// foreignOwner owns what must not be seen.
const foreignOwner = "somebody-else"

// program is the probe as atoms see it.
func (e *Env) program() string { return cmp.Or(e.Program, "/probe") }

// Request describes an atom that runs the probe with these steps (the
// package's documentation lists them).
func (e *Env) Request(args ...string) *atom.EngineCreateRequest {
	r := &atom.EngineCreateRequest{Image: cmp.Or(e.Image, "probe"), Owner: e.Owner}
	if e.Capabilities.Has(atom.CapImages) {
		r.Command = args
	} else {
		r.Command = append([]string{e.program()}, args...)
	}
	r.Spec.Labels = maps.Clone(e.Labels)
	return r
}

// Label adds labels to those that the harness asked for.
func (e *Env) Label(r *atom.EngineCreateRequest, labels map[string]string) {
	r.Spec.Labels = maps.Clone(e.Labels)
	if r.Spec.Labels == nil {
		r.Spec.Labels = make(map[string]string)
	}
	maps.Copy(r.Spec.Labels, labels)
}

// Create makes an atom and sees to it that it is removed after the check,
// whatever becomes of that.
func (e *Env) Create(ctx context.Context, r *atom.EngineCreateRequest) (atom.Atom, error) {
	if r.Context == nil {
		r.Context = ctx
	}
	a, err := e.Engine.Create(r)
	if err != nil {
		return nil, err
	}
	if a == nil {
		return nil, errors.New("create gave neither an atom nor an error")
	}
	e.track(a.ID(), r.Owner)
	return a, nil
}

// track has an atom removed after the check.
func (e *Env) track(id, owner string) {
	if e.session == nil {
		return
	}
	e.session.mu.Lock()
	defer e.session.mu.Unlock()
	e.session.atoms = append(e.session.atoms, made{id, owner})
}

// Start creates an atom that runs these steps.
func (e *Env) Start(ctx context.Context, args ...string) (atom.Atom, error) {
	a, err := e.Create(ctx, e.Request(args...))
	if err != nil {
		return nil, fmt.Errorf("creating: %w", err)
	}
	return a, nil
}

// StartReady creates an atom that runs these steps, and returns when it has
// printed the line "ready", which one of them must do.
func (e *Env) StartReady(ctx context.Context, args ...string) (atom.Atom, error) {
	return e.ReadyFrom(ctx, e.Request(args...))
}

// ReadyFrom is StartReady from a request.
func (e *Env) ReadyFrom(ctx context.Context, r *atom.EngineCreateRequest) (atom.Atom, error) {
	a, err := e.Create(ctx, r)
	if err != nil {
		return nil, fmt.Errorf("creating: %w", err)
	}
	return a, e.Seen(ctx, a.ID(), "ready\n")
}

// Seen returns when the atom's output holds text.
func (e *Env) Seen(ctx context.Context, id, text string) error {
	logs, err := e.Engine.Logs(&atom.EngineLogsRequest{ID: id, Owner: e.Owner, Context: ctx})
	if err != nil {
		return fmt.Errorf("opening logs: %w", err)
	}
	defer logs.Close()
	var all []byte
	buf := make([]byte, 4096)
	for {
		n, err := logs.Read(buf)
		all = append(all, buf[:n]...)
		if strings.Contains(string(all), text) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("waiting for %q in the log, which so far is %q: %w", text, short(all), err)
		}
	}
}

// Finish runs a request to its end and returns the atom and all its output.
func (e *Env) Finish(ctx context.Context, r *atom.EngineCreateRequest) (atom.Atom, []byte, error) {
	a, err := e.Create(ctx, r)
	if err != nil {
		return nil, nil, fmt.Errorf("creating: %w", err)
	}
	if a, err = e.Wait(ctx, a.ID()); err != nil {
		return nil, nil, err
	}
	out, err := e.Read(ctx, a.ID(), nil)
	return a, out, err
}

// Run is Finish of a job that has to succeed with these steps.
func (e *Env) Run(ctx context.Context, args ...string) (atom.Atom, []byte, error) {
	a, out, err := e.Finish(ctx, e.Request(args...))
	if err == nil && a.Result() != atom.Success {
		err = fmt.Errorf("the job %q ended with %s; its output was %q", args, describe(a), short(out))
	}
	return a, out, err
}

// Get asks for an atom.
func (e *Env) Get(ctx context.Context, id string) (atom.Atom, error) {
	a, err := e.Engine.Get(&atom.EngineGetRequest{ID: id, Owner: e.Owner, Context: ctx})
	if err != nil {
		return nil, fmt.Errorf("get: %w", err)
	}
	if a == nil {
		return nil, errors.New("get gave neither an atom nor an error")
	}
	return a, nil
}

// Wait waits for an atom to stop, and fails where what it gets has not.
func (e *Env) Wait(ctx context.Context, id string) (atom.Atom, error) {
	a, err := e.Engine.Wait(&atom.EngineWaitRequest{ID: id, Owner: e.Owner, Context: ctx})
	switch {
	case err != nil:
		return nil, fmt.Errorf("wait: %w", err)
	case a == nil:
		return nil, errors.New("wait gave neither an atom nor an error")
	case a.State() != atom.Stopped:
		return nil, fmt.Errorf("wait gave an atom that is %s, not stopped", describe(a))
	}
	return a, nil
}

// List lists the owner's atoms between two times.
func (e *Env) List(ctx context.Context, since, before time.Time) ([]atom.Atom, error) {
	as, err := e.Engine.List(&atom.EngineListRequest{Since: since, Before: before, Owner: e.Owner, Context: ctx})
	if err != nil {
		return nil, fmt.Errorf("list: %w", err)
	}
	return as, nil
}

// Logs opens an atom's log; change, which may be nil, adds to the request.
func (e *Env) Logs(ctx context.Context, id string, change func(*atom.EngineLogsRequest)) (io.ReadCloser, error) {
	r := &atom.EngineLogsRequest{ID: id, Owner: e.Owner, Context: ctx}
	if change != nil {
		change(r)
	}
	logs, err := e.Engine.Logs(r)
	if err == nil && logs == nil {
		err = errors.New("neither a stream nor an error")
	}
	if err != nil {
		return nil, fmt.Errorf("logs: %w", err)
	}
	return logs, nil
}

// Read reads an atom's log to its end.
func (e *Env) Read(ctx context.Context, id string, change func(*atom.EngineLogsRequest)) ([]byte, error) {
	logs, err := e.Logs(ctx, id, change)
	if err != nil {
		return nil, err
	}
	out, err := io.ReadAll(logs)
	if err != nil {
		err = fmt.Errorf("reading logs after %d bytes: %w", len(out), err)
	}
	return out, errors.Join(err, logs.Close())
}

// Stop stops an atom with the backend's or its own grace.
func (e *Env) Stop(ctx context.Context, id string) error {
	return e.stop(ctx, &atom.EngineStopRequest{ID: id})
}

func (e *Env) stop(ctx context.Context, r *atom.EngineStopRequest) error {
	r.Owner, r.Context = e.Owner, ctx
	if err := e.Engine.Stop(r); err != nil {
		return fmt.Errorf("stop: %w", err)
	}
	return nil
}

// Delete deletes an atom.
func (e *Env) Delete(ctx context.Context, id string, force bool) error {
	d, ok := e.Engine.(atom.Deleter)
	if !ok {
		return errors.New("the engine claims the capability delete and is no atom.Deleter")
	}
	return d.Delete(&atom.EngineDeleteRequest{ID: id, Force: force, Owner: e.Owner, Context: ctx})
}

// Lookup looks an atom up by its key.
func (e *Env) Lookup(ctx context.Context, key string) (atom.Atom, error) {
	return e.lookup(ctx, e.Owner, key)
}

func (e *Env) lookup(ctx context.Context, owner, key string) (atom.Atom, error) {
	l, ok := e.Engine.(atom.Lookuper)
	if !ok {
		return nil, errors.New("the engine claims the capability lookup and is no atom.Lookuper")
	}
	return l.Lookup(&atom.EngineLookupRequest{Key: key, Owner: owner, Context: ctx})
}

// tidy removes what a check made.
func (e *Env) tidy(ctx context.Context) error {
	e.session.mu.Lock()
	atoms := e.session.atoms
	e.session.mu.Unlock()
	slices.Reverse(atoms)
	var errs []error
	for _, a := range slices.Compact(atoms) {
		var err error
		if d, ok := e.Engine.(atom.Deleter); ok && e.Capabilities.Has(atom.CapDelete) {
			err = d.Delete(&atom.EngineDeleteRequest{ID: a.id, Force: true, Owner: a.owner, Context: ctx})
		} else {
			err = e.Engine.Stop(&atom.EngineStopRequest{ID: a.id, Force: true, Owner: a.owner, Context: ctx})
		}
		if err != nil && !errdefs.IsNotFound(err) {
			errs = append(errs, fmt.Errorf("removing atom %s after the check: %w", a.id, err))
		}
	}
	return errors.Join(errs...)
}

// known is what `pour` with these arguments writes.
func known(kind steps.Kind, seed uint64, size int) []byte { return steps.Known(kind, seed, size) }
