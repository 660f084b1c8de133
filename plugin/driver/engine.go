package driver

import (
	"context"
	"io"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/containerd/errdefs"

	"github.com/atom-router/atom-router/atom"
)

// defaultStopTimeout is that of Options.
const defaultStopTimeout = 10 * time.Second

// Engine is an atom.Engine, Deleter, Lookuper, Prober and io.Closer over a
// Driver. All methods may be called from any number of goroutines.
type Engine struct {
	driver  Driver
	options Options
	can     atom.Capabilities
	ctx     context.Context // ends with the engine
	cancel  context.CancelFunc
	jobs    sync.WaitGroup // goroutines that start or watch a job

	mu       sync.Mutex
	byID     map[string]*record
	byName   map[string]*record   // by native name
	starting map[string]*creation // likewise
	last     time.Time            // the youngest CreatedAt
	closed   bool
}

var (
	_ atom.Engine   = (*Engine)(nil)
	_ atom.Deleter  = (*Engine)(nil)
	_ atom.Lookuper = (*Engine)(nil)
	_ atom.Prober   = (*Engine)(nil)
	_ io.Closer     = (*Engine)(nil)
)

// New returns an engine without atoms over d.
func New(d Driver, o Options) *Engine {
	if o.StopTimeout <= 0 {
		o.StopTimeout = defaultStopTimeout
	}
	e := &Engine{
		driver: d, options: o, can: Capabilities(o.Capabilities...),
		byID: make(map[string]*record), byName: make(map[string]*record), starting: make(map[string]*creation),
	}
	e.ctx, e.cancel = context.WithCancel(context.Background())
	return e
}

// Close kills what runs, forgets all atoms, and returns when their jobs have
// ended. Calls afterwards are Unavailable. Idempotent.
func (e *Engine) Close() error {
	e.mu.Lock()
	e.closed = true
	atoms := slices.Collect(maps.Values(e.byID))
	clear(e.byID)
	clear(e.byName)
	e.mu.Unlock()
	e.cancel()
	var killing sync.WaitGroup
	for _, r := range atoms {
		killing.Go(func() { _ = r.stop(true) })
	}
	killing.Wait()
	e.jobs.Wait()
	return nil
}

// Probe implements atom.Prober. A Driver that has a Probe is asked first.
func (e *Engine) Probe(ctx context.Context) (atom.Capabilities, error) {
	if err := e.begin(ctx, ""); err != nil {
		return nil, err
	}
	if p, ok := e.driver.(atom.Prober); ok {
		more, err := p.Probe(ctx)
		return Capabilities(more...), err
	}
	return slices.Clone(e.can), nil
}

// begin is what every call does first.
func (e *Engine) begin(ctx context.Context, owner string) error {
	if err := atom.ContextOr(ctx).Err(); err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return errClosed()
	}
	return atom.ValidateOwner(owner)
}

func errClosed() error { return atom.Errorf(errdefs.ErrUnavailable, "the engine is closed") }

// find returns the record of an owner's atom.
func (e *Engine) find(ctx context.Context, owner, id string) (*record, error) {
	if err := e.begin(ctx, owner); err != nil {
		return nil, err
	}
	if err := atom.ValidateID(id); err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	r := e.byID[id]
	if r == nil || r.owner != atom.OwnerOr(owner) {
		return nil, atom.Errorf(errdefs.ErrNotFound, "no atom %q", id)
	}
	return r, nil
}

// Get implements atom.Engine.
func (e *Engine) Get(q *atom.EngineGetRequest) (atom.Atom, error) {
	r, err := e.find(q.Context, q.Owner, q.ID)
	if err != nil {
		return nil, err
	}
	return r.atom(), nil
}

// Lookup implements atom.Lookuper.
func (e *Engine) Lookup(q *atom.EngineLookupRequest) (atom.Atom, error) {
	if err := e.begin(q.Context, q.Owner); err != nil {
		return nil, err
	}
	if err := atom.ValidateKey(q.Key); err != nil {
		return nil, err
	}
	if q.Key == "" {
		return nil, &atom.FieldError{Field: "key", Reason: "is required"}
	}
	e.mu.Lock()
	r := e.byName[atom.NativeName(q.Owner, q.Key)]
	e.mu.Unlock()
	if r == nil {
		return nil, atom.Errorf(errdefs.ErrNotFound, "no atom under key %q", q.Key)
	}
	return r.atom(), nil
}

// List implements atom.Engine.
func (e *Engine) List(q *atom.EngineListRequest) ([]atom.Atom, error) {
	if err := e.begin(q.Context, q.Owner); err != nil {
		return nil, err
	}
	e.mu.Lock()
	all := slices.Collect(maps.Values(e.byID))
	e.mu.Unlock()
	atoms := []atom.Atom{}
	for _, r := range all {
		at := r.created
		if r.owner == atom.OwnerOr(q.Owner) && (q.Since.IsZero() || !at.Before(q.Since)) && (q.Before.IsZero() || at.Before(q.Before)) {
			atoms = append(atoms, r.atom())
		}
	}
	slices.SortFunc(atoms, atom.CompareAge)
	return atoms, nil
}

// Wait implements atom.Engine.
func (e *Engine) Wait(q *atom.EngineWaitRequest) (atom.Atom, error) {
	r, err := e.find(q.Context, q.Owner, q.ID)
	if err != nil {
		return nil, err
	}
	if err := r.wait(q.Context); err != nil {
		return nil, err
	}
	return r.atom(), nil
}

// Logs implements atom.Engine.
func (e *Engine) Logs(q *atom.EngineLogsRequest) (io.ReadCloser, error) {
	r, err := e.find(q.Context, q.Owner, q.ID)
	if err != nil {
		return nil, err
	}
	logs, err := r.output.Read(q)
	if err != nil {
		return nil, err // and no nil *LogReader in an io.ReadCloser
	}
	return logs, nil
}

// Delete implements atom.Deleter.
func (e *Engine) Delete(q *atom.EngineDeleteRequest) error {
	r, err := e.find(q.Context, q.Owner, q.ID)
	if err != nil {
		return err
	}
	if !r.done() {
		if !q.Force {
			return atom.Errorf(errdefs.ErrFailedPrecondition, "atom %s is running: stop it first, or use force", q.ID)
		}
		if err := r.stop(true); err != nil {
			return err
		}
		if err := r.wait(q.Context); err != nil {
			return err
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.byID, q.ID)
	if e.byName[r.native] == r {
		delete(e.byName, r.native)
	}
	return nil
}
