// Package kube runs atoms as pods of a Kubernetes namespace.
//
// An atom is one pod, named by owner and Key, whose annotations hold all that
// the engine knows about it: the engine itself keeps nothing that it could not
// read again, and any number of engines may serve the same atoms. What the
// engine is allowed to do is in packaging/kubernetes/role.yaml.
package kube

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/containerd/errdefs"
	"github.com/hashicorp/go-hclog"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/atom-router/atom-router/atom"
)

// Engine runs atoms as pods of one namespace. It is an atom.Engine, Deleter,
// Lookuper, Prober and ListStreamer, and safe for concurrent use. While the API server is
// away calls are Unavailable, except that Waits, Stops and Logs already begun
// go on when it comes back.
type Engine struct {
	settings settings
	api      *api
	watch    *watch
	log      hclog.Logger

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	work   sync.WaitGroup // goroutines that outlive their call
	gets   atomic.Int64

	looking chan struct{} // holds a token for each Wait that is looking
}

var (
	_ atom.Engine   = (*Engine)(nil)
	_ atom.Deleter  = (*Engine)(nil)
	_ atom.Lookuper = (*Engine)(nil)
	_ atom.Prober   = (*Engine)(nil)

	_ atom.ListStreamer = (*Engine)(nil)
)

// New returns an engine for the cluster and namespace that c names. The API
// server need not be there yet. A config that makes no sense gives
// *atom.FieldErrors, all at once. ctx is not kept; log may be nil.
func New(ctx context.Context, c Config, log hclog.Logger) (*Engine, error) {
	s, err := settle(c)
	if err != nil {
		return nil, atom.Errorf(errdefs.ErrInvalidArgument, "%w", err)
	}
	config, namespace, err := connect(c)
	if err != nil {
		return nil, err
	}
	if log == nil {
		log = hclog.NewNullLogger()
	}
	e := &Engine{settings: s, log: log, looking: make(chan struct{}, looksAtOnce)}
	if e.api, err = newAPI(config, namespace, s, log); err != nil {
		return nil, err
	}
	e.ctx, e.cancel = context.WithCancel(context.Background())
	e.watch = newWatch(e)
	return e, nil
}

// Close ends Waits, Stops and Logs in progress and lets go of connections. It
// touches no atom. It is idempotent; calls made afterwards fail.
func (e *Engine) Close() error {
	e.cancel()
	e.work.Wait()
	e.api.close()
	return nil
}

// Probe asks the API server whether it would take a pod of this backend's,
// without making one: Unavailable where it does not answer, and other classes
// where the credentials, the namespace or the config are at fault.
func (e *Engine) Probe(ctx context.Context) (atom.Capabilities, error) {
	ctx, cancel := e.bound(ctx)
	defer cancel()
	pod, err := e.podFor(&atom.EngineCreateRequest{Image: "probe"}, "atom-probe", time.Now())
	if err != nil {
		return nil, err
	}
	_, err = e.api.create(ctx, pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	// One that stands under that name, or a full quota, is an answer, too.
	if fault := e.api.fault(ctx, err); fault != nil && !errdefs.IsAlreadyExists(fault) && !errdefs.IsResourceExhausted(fault) {
		return nil, fault
	}
	caps := baseCapabilities()
	if e.settings.AllowHostPath {
		caps = append(caps, atom.CapMountBind, atom.CapBindSource)
	}
	return caps, nil
}

// baseCapabilities holds whatever the cluster. Bytes are not exact: containerd
// drops a carriage return before a newline.
func baseCapabilities() atom.Capabilities {
	return atom.Capabilities{
		atom.CapImages, atom.CapMountVolume, atom.CapMountTmpfs, atom.CapUser,
		atom.CapCPU, atom.CapMemory, atom.CapGPUs, atom.CapOOM, atom.CapLogTimes, atom.CapDelete, atom.CapLookup, atom.CapDurable,
	}
}

// Get returns the atom as it is now.
func (e *Engine) Get(r *atom.EngineGetRequest) (atom.Atom, error) {
	ctx, cancel := e.bound(atom.ContextOr(r.Context))
	defer cancel()
	if e.gets.Add(1) > 1 {
		e.watch.start() // who asks twice asks again
	}
	found, err := e.find(ctx, r.ID, r.Owner, false)
	if err != nil {
		return nil, err
	}
	return e.atomOf(found), nil
}

// Lookup returns the atom that was made under an owner and Key.
func (e *Engine) Lookup(r *atom.EngineLookupRequest) (atom.Atom, error) {
	ctx, cancel := e.bound(atom.ContextOr(r.Context))
	defer cancel()
	if r.Key == "" {
		return nil, &atom.FieldError{Field: "key", Reason: "is empty"}
	}
	pod, err := e.api.get(ctx, atom.NativeName(r.Owner, r.Key))
	if err := e.api.fault(ctx, err); err != nil && !isNotFound(err) {
		return nil, err
	}
	if err == nil {
		if found := e.settings.recordOf(pod); found.ours(r.Owner) {
			e.watch.pods.put(found)
			return e.atomOf(found), nil
		}
	}
	return nil, atom.Errorf(errdefs.ErrNotFound, "no atom was made under key %q", r.Key)
}

// find gives the pod of an atom's ID: as the watch has it, or, where that does
// not know it or is not to be relied upon, or live is set, as the API server
// has it. What does not exist, what is not of this owner and what was never an
// atom are NotFound alike.
func (e *Engine) find(ctx context.Context, id, owner string, live bool) (*record, error) {
	i, err := e.parseID(id)
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, endOf(ctx)
	}
	if e.watch.pods.isGone(i.uid) { // which is for ever
		return nil, noSuchAtom(id)
	}
	if r, current := e.watch.pods.get(i.uid); !live && current && r != nil {
		if !r.ours(owner) || r.name != i.name {
			return nil, noSuchAtom(id)
		}
		return r, nil
	}
	pod, err := e.api.get(ctx, i.name)
	if apierrors.IsNotFound(err) || err == nil && string(pod.UID) != i.uid {
		// Whoever waits for it has to know.
		e.watch.pods.missing(i.uid)
		return nil, noSuchAtom(id)
	}
	if err != nil {
		return nil, e.api.fault(ctx, err)
	}
	r := e.settings.recordOf(pod)
	e.watch.pods.put(r)
	if !r.ours(owner) {
		return nil, noSuchAtom(id)
	}
	return r, nil
}

// atomOf is the snapshot that a pod amounts to.
func (e *Engine) atomOf(r *record) atom.Atom { return atom.New(r.info, e) }

// bound is ctx that ends with the engine, too.
func (e *Engine) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(e.ctx, func() { cancel(errClosed) })
	return ctx, func() {
		stop()
		cancel(context.Canceled)
	}
}

func isNotFound(err error) bool { return errdefs.IsNotFound(err) }
func isConflict(err error) bool { return errdefs.IsConflict(err) }
