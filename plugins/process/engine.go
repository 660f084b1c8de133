//go:build linux || darwin

package process

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/hashicorp/go-hclog"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/plugins/process/internal/shim"
	"github.com/atom-router/atom-router/plugins/process/internal/state"
)

// Engine runs atoms as processes of this machine. It is an atom.Engine,
// Deleter, Lookuper, Prober and io.Closer. All methods may be called from any
// number of goroutines, and any number of engines, in any number of
// processes, may work on one state directory.
type Engine struct {
	store       *store
	stopTimeout time.Duration
	shim        []string
	log         hclog.Logger
	watch       *watcher
	reaper      *reaper
	// creating bounds how many shims are being started at once, and with
	// them the descriptors that this takes.
	creating chan struct{}

	closeOnce sync.Once
	closed    chan struct{}
}

// maxCreating is how many Creates start a shim at the same time.
const maxCreating = 16

// capabilities are what a plain process can do.
func capabilities() atom.Capabilities {
	return atom.Capabilities{
		atom.CapExactBytes, atom.CapLogTimes, atom.CapLogStreams, atom.CapLogsAfterKill,
		atom.CapStopEscalation, atom.CapDelete, atom.CapLookup, atom.CapDurable,
	}
}

// New returns the engine of a state directory, which it makes where it is not
// there. Mistakes in c, an unusable directory among them, are
// *atom.FieldErrors. The program that calls it must have called RunShim first
// in main, unless c.Shim names another that does.
func New(_ context.Context, c Config, log hclog.Logger) (*Engine, error) {
	if os.Getenv(shim.Env) != "" {
		// We are a shim whose main went past the place where it should
		// have become one: anything else would start shims without end.
		return nil, atom.Errorf(errdefs.ErrFailedPrecondition, "a program that embeds the process engine must call process.RunShim first in main")
	}
	settings, err := c.check()
	if err != nil {
		return nil, err
	}
	if len(settings.shim) == 0 {
		if settings.shim, err = ownProgram(); err != nil {
			return nil, err
		}
	}
	store, err := openStore(settings.stateDir)
	if err != nil {
		return nil, err
	}
	if log == nil {
		log = hclog.NewNullLogger()
	}
	return &Engine{
		store: store, stopTimeout: settings.stopTimeout, shim: settings.shim, log: log,
		watch: newWatcher(newNotifier(), backstopTick), reaper: newReaper(),
		creating: make(chan struct{}, maxCreating), closed: make(chan struct{}),
	}, nil
}

// Close ends what the engine itself does: calls under way end with
// Unavailable. Atoms live on; the shims that this engine started and that end
// after it stay in the process table until this program ends too. Idempotent.
func (e *Engine) Close() error {
	e.closeOnce.Do(func() {
		close(e.closed)
		e.watch.close()
		e.reaper.close()
	})
	return nil
}

// Probe says what the engine can do, and Unavailable where its state
// directory has gone.
func (e *Engine) Probe(ctx context.Context) (atom.Capabilities, error) {
	if err := e.begin(ctx); err != nil {
		return nil, err
	}
	if info, err := os.Stat(e.store.root); err != nil {
		return nil, atom.Errorf(errdefs.ErrUnavailable, "state_dir: %w", err)
	} else if !info.IsDir() {
		return nil, atom.Errorf(errdefs.ErrUnavailable, "state_dir: %s is not a directory", e.store.root)
	}
	return capabilities(), nil
}

// begin is what every call does first.
func (e *Engine) begin(ctx context.Context) error {
	select {
	case <-e.closed:
		return closedError()
	default:
	}
	return atom.ContextOr(ctx).Err()
}

// Get implements atom.Engine.
func (e *Engine) Get(r *atom.EngineGetRequest) (atom.Atom, error) {
	if err := e.begin(r.Context); err != nil {
		return nil, err
	}
	v, err := e.store.find(r.Owner, r.ID)
	if err != nil {
		return nil, err
	}
	return atom.New(v.info(), e), nil
}

// Lookup implements atom.Lookuper.
func (e *Engine) Lookup(r *atom.EngineLookupRequest) (atom.Atom, error) {
	if err := e.begin(r.Context); err != nil {
		return nil, err
	}
	if err := atom.ValidateOwner(r.Owner); err != nil {
		return nil, err
	}
	if err := atom.ValidateKey(r.Key); err != nil {
		return nil, err
	}
	if r.Key == "" {
		return nil, &atom.FieldError{Field: "key", Reason: "is required"}
	}
	owner := atom.OwnerOr(r.Owner)
	v, err := e.store.load(owner, atom.NativeName(owner, r.Key))
	if err != nil {
		return nil, err
	}
	if v == nil {
		return nil, atom.Errorf(errdefs.ErrNotFound, "no atom under key %q", r.Key)
	}
	return atom.New(v.info(), e), nil
}

// List implements atom.Engine.
func (e *Engine) List(r *atom.EngineListRequest) ([]atom.Atom, error) {
	return atom.SortedList(e, r)
}

// StreamList implements atom.ListStreamer.
func (e *Engine) StreamList(r *atom.EngineListRequest, found func(atom.Atom) error) error {
	if err := e.begin(r.Context); err != nil {
		return err
	}
	if err := atom.ValidateOwner(r.Owner); err != nil {
		return err
	}
	ctx, owner := atom.ContextOr(r.Context), atom.OwnerOr(r.Owner)
	entries, err := os.ReadDir(filepath.Join(e.store.root, owner))
	if err != nil && !state.Gone(err) {
		return failure("reading the state directory", err)
	}
	for _, entry := range entries {
		if err := ctx.Err(); err != nil {
			return err
		}
		if !nativePattern.MatchString(entry.Name()) {
			continue
		}
		v, err := e.store.load(owner, entry.Name())
		if err != nil {
			return err
		}
		if v == nil {
			continue
		}
		at := time.Unix(0, v.meta.Created)
		if !r.Since.IsZero() && at.Before(r.Since) || !r.Before.IsZero() && !at.Before(r.Before) {
			continue
		}
		if err := found(atom.New(v.info(), e)); err != nil {
			return err
		}
	}
	return nil
}
