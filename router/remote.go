package router

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/containerd/errdefs"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/internal/wire"
	routerpb "github.com/atom-router/atom-router/plugin/proto/atomrouter/router/v1"
)

// Remote is a router somewhere else: the daemon at an Endpoint, asked over one
// connection that is made again when it is lost. It answers as an Engine in
// this process would, IDs and errors included, and what outlives a plugin
// there outlives the daemon here: Waits and Logs go on where they were once it
// is back, for a minute at most, and a Create whose answer was lost is asked
// again under its Key. Other calls wait some seconds for it and are then
// Unavailable.
//
// All methods may be called from any number of goroutines. After Close they
// return Unavailable.
type Remote struct {
	b          *backend
	askTimeout time.Duration

	mu      sync.Mutex // guards closed
	closed  bool
	tidying sync.WaitGroup // those that remove what cancelled Creates made
}

var (
	_ atom.Engine   = (*Remote)(nil)
	_ atom.Deleter  = (*Remote)(nil)
	_ atom.Lookuper = (*Remote)(nil)
	_ atom.Prober   = (*Remote)(nil)

	_ atom.ListStreamer = (*Remote)(nil)
)

// Dial returns the router at an endpoint, to which it connects. Where that
// cannot be done the error is Unavailable, or InvalidArgument for an endpoint
// that is none. ctx bounds Dial alone. Of options, Logger, StartTimeout,
// AskTimeout and DialOptions matter.
func Dial(ctx context.Context, e Endpoint, options Options) (*Remote, error) {
	if err := e.Check(); err != nil {
		return nil, err
	}
	options = options.withDefaults()
	r := &Remote{b: &backend{conf: Backend{Address: e.Address, TLS: e.TLS}}, askTimeout: options.AskTimeout}
	r.b.supervisor = newSupervisor(options.Logger, options.StartTimeout, func(ctx context.Context) (*instance, error) { return dial(ctx, e, options.DialOptions) })
	r.b.patience = daemonPatience
	if err := r.connect(ctx); err != nil {
		r.b.close()
		return nil, err
	}
	return r, nil
}

// connect makes the first connection. A daemon that is shutting down is likely
// to be started again: it is given some seconds for that.
func (r *Remote) connect(ctx context.Context) error {
	var leaving time.Time
	for {
		_, err := r.b.instance(ctx)
		if errors.Is(err, errNotServing) && leaving.IsZero() {
			leaving = time.Now()
		}
		if err == nil || ctx.Err() != nil || leaving.IsZero() || time.Since(leaving) > restartWait {
			return err
		}
		wait, _ := r.b.retryIn()
		if serr := r.b.sleep(ctx, wait); serr != nil {
			return serr
		}
	}
}

// Close ends the connection; calls under way end with Unavailable. Atoms and
// daemon are not touched, but for atoms of Creates that were cancelled, which
// it waits to see removed; that is bounded. It may be called more than once.
func (r *Remote) Close() error {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.tidying.Wait()
	r.b.close()
	return nil
}

// Probe implements atom.Prober: what the daemon's backends can do together.
func (r *Remote) Probe(ctx context.Context) (atom.Capabilities, error) {
	can, err := ask(ctx, r.b, func(ctx context.Context, i *instance) (atom.Capabilities, error) {
		return i.engine.(atom.Prober).Probe(ctx)
	})
	return can, remoteError("probe", "", err)
}

// Get implements atom.Engine.
func (r *Remote) Get(req *atom.EngineGetRequest) (atom.Atom, error) {
	a, err := ask(atom.ContextOr(req.Context), r.b, func(ctx context.Context, i *instance) (atom.Atom, error) {
		return i.engine.Get(&atom.EngineGetRequest{ID: req.ID, Owner: req.Owner, Context: ctx})
	})
	return r.own(a), remoteError("get", req.ID, err)
}

// Wait implements atom.Engine. It outlives the daemon.
func (r *Remote) Wait(req *atom.EngineWaitRequest) (atom.Atom, error) {
	a, err := waitFor(atom.ContextOr(req.Context), r.b, routed{native: req.ID, owner: req.Owner}, nil)
	return r.own(a), remoteError("wait", req.ID, err)
}

// Stop implements atom.Engine.
func (r *Remote) Stop(req *atom.EngineStopRequest) error {
	_, err := ask(atom.ContextOr(req.Context), r.b, func(ctx context.Context, i *instance) (struct{}, error) {
		s := *req
		s.Context = ctx
		return struct{}{}, i.engine.Stop(&s)
	})
	return remoteError("stop", req.ID, err)
}

// Delete implements atom.Deleter.
func (r *Remote) Delete(req *atom.EngineDeleteRequest) error {
	asked := 0
	_, err := ask(atom.ContextOr(req.Context), r.b, func(ctx context.Context, i *instance) (struct{}, error) {
		asked++
		d := *req
		d.Context = ctx
		err := i.engine.(atom.Deleter).Delete(&d)
		if asked > 1 && noAtom(err) {
			err = nil // what the daemon that ended had done already
		}
		return struct{}{}, err
	})
	return remoteError("delete", req.ID, err)
}

// Lookup implements atom.Lookuper.
func (r *Remote) Lookup(req *atom.EngineLookupRequest) (atom.Atom, error) {
	a, err := r.lookup(atom.ContextOr(req.Context), req.Owner, req.Key)
	return r.own(a), remoteError("lookup", "", err)
}

func (r *Remote) lookup(ctx context.Context, owner, key string) (atom.Atom, error) {
	return ask(ctx, r.b, func(ctx context.Context, i *instance) (atom.Atom, error) {
		return i.engine.(atom.Lookuper).Lookup(&atom.EngineLookupRequest{Owner: owner, Key: key, Context: ctx})
	})
}

// Logs implements atom.Engine. Its reader is an *atom.LogReader. It outlives
// the daemon, and neither loses nor repeats a byte.
func (r *Remote) Logs(req *atom.EngineLogsRequest) (io.ReadCloser, error) {
	logs, err := newLasting(atom.ContextOr(req.Context), r.b, *req, nil)
	if err != nil {
		return nil, remoteError("logs", req.ID, err)
	}
	return atom.NewLogReader(&prefixed{logs: logs, id: req.ID, release: func() {}, stop: func() bool { return true }, ended: notObserved}, req.Timestamps), nil
}

// List implements atom.Engine over all backends of the daemon.
func (r *Remote) List(req *atom.EngineListRequest) ([]atom.Atom, error) { return r.ListBackends(req) }

// ListBackends is List restricted to some backends; see Engine.ListBackends.
func (r *Remote) ListBackends(req *atom.EngineListRequest, names ...string) ([]atom.Atom, error) {
	list := func(ctx context.Context, i *instance) ([]atom.Atom, error) {
		theirs := *req
		theirs.Context = ctx
		if len(names) == 0 {
			return i.engine.List(&theirs)
		}
		return i.engine.(*remoteEngine).listBackends(ctx, &theirs, names)
	}
	var some []atom.Atom // beside an error
	all, err := ask(atom.ContextOr(req.Context), r.b, func(ctx context.Context, i *instance) ([]atom.Atom, error) {
		var err error
		some, err = list(ctx, i)
		return some, err
	})
	if err != nil {
		all = some
	}
	for n, a := range all {
		all[n] = r.own(a)
	}
	return all, remoteError("list", "", err)
}

func (e *remoteEngine) listBackends(ctx context.Context, req *atom.EngineListRequest, names []string) ([]atom.Atom, error) {
	streaming, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := e.router.List(streaming, &routerpb.ListRequest{List: wire.ListToWire(req, false), Backends: names}, wire.CallOptions()...)
	if err != nil {
		return nil, wire.ErrorFromWire(ctx, err)
	}
	return wire.ReceiveAtoms(ctx, stream.Recv, e)
}

// StreamList implements atom.ListStreamer over all backends of the daemon; see
// Engine.StreamList. A daemon that is lost after it gave an atom is Unavailable.
func (r *Remote) StreamList(req *atom.EngineListRequest, found func(atom.Atom) error) error {
	return r.StreamBackends(req, found)
}

// StreamBackends is StreamList restricted to some backends.
func (r *Remote) StreamBackends(req *atom.EngineListRequest, found func(atom.Atom) error, names ...string) error {
	var given bool
	var enough error // found's
	_, err := askAgainIf(atom.ContextOr(req.Context), r.b, func() bool { return !given }, func(ctx context.Context, i *instance) (struct{}, error) {
		theirs := *req
		theirs.Context = ctx
		return struct{}{}, i.engine.(*remoteEngine).streamBackends(ctx, &theirs, names, func(a atom.Atom) error {
			given = true
			enough = found(r.own(a))
			return enough
		})
	})
	if enough != nil {
		return enough
	}
	return remoteError("list", "", err)
}

func (e *remoteEngine) streamBackends(ctx context.Context, req *atom.EngineListRequest, names []string, found func(atom.Atom) error) error {
	if len(names) == 0 {
		return e.StreamList(req, found)
	}
	streaming, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := e.router.List(streaming, &routerpb.ListRequest{List: wire.ListToWire(req, true), Backends: names}, wire.CallOptions()...)
	if err != nil {
		return wire.ErrorFromWire(ctx, err)
	}
	return wire.EachAtom(ctx, stream.Recv, e, found)
}

// Create implements atom.Engine. Where the daemon was lost before it answered
// it is asked once more under the same Key. That it is still not known whether
// there is an atom is an *atom.OutcomeUnknown.
func (r *Remote) Create(req *atom.EngineCreateRequest) (atom.Atom, error) {
	a, err := r.create(atom.ContextOr(req.Context), *req)
	return r.own(a), remoteError("create", "", err)
}

func (r *Remote) create(ctx context.Context, req atom.EngineCreateRequest) (atom.Atom, error) {
	if req.Key == "" {
		req.Key, req.FreshKey = atom.NewKey(), true
	}
	i, err := r.b.instance(ctx)
	if err != nil {
		return nil, err
	}
	req.Context = ctx
	a, err := i.engine.Create(&req)
	if err != nil && ctx.Err() != nil && req.FreshKey {
		r.throwOut(req.Owner, req.Key)
	}
	if err == nil || ctx.Err() != nil || !unsure(ctx, i, err) {
		return a, ended(ctx, err)
	}
	if req.FreshKey {
		req.FreshKey, req.AskedAgain = false, true
	}
	a, err = askAgain(ctx, r.b, &req, func(ctx context.Context) (atom.Atom, error) { return r.find(ctx, req.Owner, req.Key) })
	if err == nil || !errdefs.IsUnavailable(err) && ctx.Err() == nil {
		return a, err
	}
	return nil, outcomeUnknown(req.Key, ended(ctx, err))
}

// find is lookup, and nil where there is no such atom.
func (r *Remote) find(ctx context.Context, owner, key string) (atom.Atom, error) {
	a, err := r.lookup(ctx, owner, key)
	if errdefs.IsNotFound(err) {
		return nil, nil
	}
	return a, err
}

// throwOut removes what a Create made whose caller has gone; see
// Engine.throwOut.
func (r *Remote) throwOut(owner, key string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return
	}
	r.tidying.Go(func() {
		r.b.throwOut(owner, key, r.askTimeout, func(ctx context.Context) (atom.Atom, error) { return r.find(ctx, owner, key) })
	})
}

// Explain tells where a Create of req would go; see Engine.Explain.
func (r *Remote) Explain(ctx context.Context, req *atom.EngineCreateRequest) (Decision, error) {
	if err := req.Validate(); err != nil {
		return Decision{}, opError("explain", "", "", err)
	}
	d, err := ask(ctx, r.b, func(ctx context.Context, i *instance) (Decision, error) {
		resp, err := i.engine.(*remoteEngine).router.Explain(ctx, &routerpb.ExplainRequest{Create: wire.CreateToWire(req)}, wire.CallOptions()...)
		return decisionFromWire(resp), wire.ErrorFromWire(ctx, err)
	})
	return d, remoteError("explain", "", err)
}

// ProbeBackends asks the daemon's backends how they do; see
// Engine.ProbeBackends.
func (r *Remote) ProbeBackends(ctx context.Context, names ...string) ([]BackendStatus, error) {
	all, err := ask(ctx, r.b, func(ctx context.Context, i *instance) ([]BackendStatus, error) {
		resp, err := i.engine.(*remoteEngine).router.Backends(ctx, &routerpb.BackendsRequest{Names: names}, wire.CallOptions()...)
		return statusesFromWire(resp), wire.ErrorFromWire(ctx, err)
	})
	return all, remoteError("probe", "", err)
}

// Reload has the daemon read its config again and turn to it. Where that is
// wrong nothing changes, and the error, InvalidArgument, says all that is.
// What is odd in it comes as warnings.
func (r *Remote) Reload(ctx context.Context) (warnings []string, err error) {
	warnings, err = ask(ctx, r.b, func(ctx context.Context, i *instance) ([]string, error) {
		resp, err := i.engine.(*remoteEngine).router.Reload(ctx, &routerpb.ReloadRequest{}, wire.CallOptions()...)
		return resp.GetWarnings(), wire.ErrorFromWire(ctx, err)
	})
	return warnings, remoteError("reload", "", err)
}

// own is the daemon's atom as one of this engine.
func (r *Remote) own(a atom.Atom) atom.Atom {
	if a == nil {
		return nil
	}
	return atom.New(atom.InfoOf(a), r)
}

// remoteError is err with a prefix, which it has where the daemon gave it.
func remoteError(op, id string, err error) error {
	if _, ok := err.(*atom.OpError); ok {
		return err
	}
	return opError(op, "", id, err)
}
