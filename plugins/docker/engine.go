// Package docker runs atoms as containers of a Docker daemon (API 1.41 or
// later; Podman's socket will do).
//
// An atom is one container, named by owner and Key, whose labels hold all
// that the engine knows about it: the engine itself keeps nothing, and any
// number of engines may serve the same atoms.
package docker

import (
	"context"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/hashicorp/go-hclog"

	"github.com/atom-router/atom-router/atom"
)

// Engine runs atoms as containers of one daemon. It is an atom.Engine,
// Deleter, Lookuper, Prober and ListStreamer, and safe for concurrent use.
// While the daemon is away calls are Unavailable, except that Waits and Logs
// already begun go on when it comes back.
type Engine struct {
	settings settings
	daemon   *daemon
	creds    *credentials
	pulls    *pulls
	watch    *watch
	names    *keyed
	looking  chan struct{} // holds a token for each Wait that is looking
	log      hclog.Logger

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	work   sync.WaitGroup // goroutines that outlive their call for a moment

	mu       sync.Mutex
	stopping map[string]bool // containers that a Stop was begun for
}

var (
	_ atom.Engine   = (*Engine)(nil)
	_ atom.Deleter  = (*Engine)(nil)
	_ atom.Lookuper = (*Engine)(nil)
	_ atom.Prober   = (*Engine)(nil)

	_ atom.ListStreamer = (*Engine)(nil)
)

// New returns an engine for the daemon that c names. The daemon need not be
// there yet. A config that makes no sense gives *atom.FieldErrors, all at
// once. ctx is not kept; log may be nil.
func New(ctx context.Context, c Config, log hclog.Logger) (*Engine, error) {
	return newEngine(c, hostEnvironment(), log)
}

func newEngine(c Config, env environment, log hclog.Logger) (*Engine, error) {
	s, err := settle(c)
	if err != nil {
		return nil, atom.Errorf(errdefs.ErrInvalidArgument, "%w", err)
	}
	ep, err := env.resolve(c)
	if err != nil {
		return nil, err
	}
	if log == nil {
		log = hclog.NewNullLogger()
	}
	e := &Engine{
		settings: s,
		daemon:   newDaemon(ep),
		creds:    newCredentials(c.RegistryAuth, env.configDir(c)),
		log:      log,
		names:    newKeyed(),
		looking:  make(chan struct{}, looksAtOnce),
		stopping: make(map[string]bool),
	}
	e.ctx, e.cancel = context.WithCancel(context.Background())
	e.pulls = newPulls(e)
	e.watch = newWatch(e)
	return e, nil
}

// Close ends Waits, Logs and pulls in progress and lets go of connections. It
// touches no atom. It is idempotent; calls made afterwards fail.
func (e *Engine) Close() error {
	e.cancel()
	e.work.Wait()
	e.daemon.close()
	return nil
}

// Probe asks the daemon whether it is there and what it can do; Unavailable
// where it does not answer.
func (e *Engine) Probe(ctx context.Context) (atom.Capabilities, error) {
	api, err := e.daemon.connect(ctx)
	if err != nil {
		return nil, err
	}
	info, err := api.Info(ctx)
	if err != nil {
		return nil, e.daemon.fault(ctx, err)
	}
	driver, _ := e.logConfig()
	if known := info.Plugins.Log; len(known) > 0 && !slices.Contains(known, driver) {
		return nil, atom.Errorf(errdefs.ErrFailedPrecondition, "the daemon at %s has no log driver %q; leave log_driver out, or name one of %s",
			e.daemon.endpoint.host, driver, strings.Join(known, ", "))
	}
	caps := baseCapabilities()
	if info.CPUCfsQuota || info.CPUCfsPeriod {
		caps = append(caps, atom.CapCPU)
	}
	if info.MemoryLimit {
		caps = append(caps, atom.CapMemory, atom.CapOOM)
	}
	if _, ok := info.Runtimes["nvidia"]; ok {
		caps = append(caps, atom.CapGPUs)
	}
	if driver != "json-file" {
		caps = append(caps, atom.CapExactBytes)
	}
	if e.daemon.podman.Load() {
		caps = podmanLacks.Missing(caps)
	}
	return caps, nil
}

// baseCapabilities holds whatever the daemon's machine is.
func baseCapabilities() atom.Capabilities {
	return atom.Capabilities{
		atom.CapImages, atom.CapMountBind, atom.CapBindSource, atom.CapMountVolume, atom.CapMountTmpfs, atom.CapUser, atom.CapUserNames,
		atom.CapLogTimes, atom.CapLogStreams, atom.CapLogsAfterKill, atom.CapStopEscalation, atom.CapDelete, atom.CapLookup, atom.CapDurable,
	}
}

// Get returns the atom as it is now.
func (e *Engine) Get(r *atom.EngineGetRequest) (atom.Atom, error) {
	c, err := e.find(atom.ContextOr(r.Context), r.ID, r.Owner)
	if err != nil {
		return nil, err
	}
	return e.atomOf(c), nil
}

// Lookup returns the atom that was made under an owner and Key.
func (e *Engine) Lookup(r *atom.EngineLookupRequest) (atom.Atom, error) {
	ctx := atom.ContextOr(r.Context)
	if r.Key == "" {
		return nil, &atom.FieldError{Field: "key", Reason: "is empty"}
	}
	name := atom.NativeName(r.Owner, r.Key)
	c, err := e.inspect(ctx, name)
	if errdefs.IsNotFound(err) || err == nil && !ours(c, r.Owner) {
		return nil, atom.Errorf(errdefs.ErrNotFound, "no atom was made under key %q", r.Key)
	}
	if err != nil {
		return nil, err
	}
	return e.atomOf(c), nil
}

// idPattern is a container's full ID. Docker also takes names and prefixes of
// IDs where it wants an ID; those would reach other people's containers.
var idPattern = regexp.MustCompile(`^[0-9a-f]{64}$`)

// find inspects the container of an atom's ID. What does not exist, what is
// not of this owner and what was never an atom are NotFound alike.
func (e *Engine) find(ctx context.Context, id, owner string) (container.InspectResponse, error) {
	if err := atom.ValidateID(id); err != nil {
		return container.InspectResponse{}, err
	}
	if !idPattern.MatchString(id) {
		return container.InspectResponse{}, noSuchAtom(id)
	}
	c, err := e.inspect(ctx, id)
	if errdefs.IsNotFound(err) || err == nil && !ours(c, owner) {
		return container.InspectResponse{}, noSuchAtom(id)
	}
	return c, err
}

func noSuchAtom(id string) error {
	return atom.Errorf(errdefs.ErrNotFound, "no such atom: %.12s", id)
}

// inspect asks the daemon about a container by ID or name.
func (e *Engine) inspect(ctx context.Context, ref string) (container.InspectResponse, error) {
	api, err := e.daemon.connect(ctx)
	if err != nil {
		return container.InspectResponse{}, err
	}
	c, err := api.ContainerInspect(ctx, ref)
	if err != nil {
		return container.InspectResponse{}, e.daemon.fault(ctx, err)
	}
	if c.ContainerJSONBase == nil || c.State == nil || c.Config == nil {
		return container.InspectResponse{}, atom.Errorf(errdefs.ErrInternal, "the daemon's description of container %.12s is incomplete", ref)
	}
	asDocker(c.State)
	return c, nil
}

// markStopping notes that a Stop of a container was begun, which is what
// makes it stopping rather than running.
func (e *Engine) markStopping(id string, on bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if on {
		e.stopping[id] = true
	} else {
		delete(e.stopping, id)
	}
}

func (e *Engine) isStopping(id string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.stopping[id]
}
