package daemon

import (
	"context"
	"fmt"
	"io"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/containerd/errdefs"
	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc"
	"google.golang.org/grpc/tap"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/internal/wire"
	"github.com/atom-router/atom-router/router"
	"github.com/atom-router/atom-router/router/config"
)

// gate stands before the router: it lets in who may, fills in whose atoms a
// call is about, and writes down what was done. To the wire it is an engine
// like another.
type gate struct {
	engine *router.Engine
	reload func(context.Context) ([]string, error)
	log    hclog.Logger

	access   atomic.Pointer[[]config.Access]
	auditing atomic.Pointer[audit]
	draining atomic.Bool

	mu    sync.Mutex
	calls int           // under way, health checks apart
	idle  chan struct{} // closed with the last of them; nil while nobody waits
}

var (
	_ atom.Engine    = (*gate)(nil)
	_ atom.Deleter   = (*gate)(nil)
	_ atom.Lookuper  = (*gate)(nil)
	_ atom.Prober    = (*gate)(nil)
	_ router.Control = (*gate)(nil)

	_ atom.ListStreamer = (*gate)(nil)
)

type clientKey struct{}

// tap decides before anything of a request is read whether it is heard.
func (g *gate) tap(ctx context.Context, info *tap.Info) (context.Context, error) {
	verb, ours := verbs[info.FullMethodName]
	if !ours && !strings.HasPrefix(info.FullMethodName, "/atomrouter.") {
		return ctx, nil // health and reflection are for whoever could connect
	}
	id, err := identify(ctx)
	if err != nil {
		err = atom.Errorf(errdefs.ErrUnauthenticated, "%w", err)
		g.refuse(client{identity: id}, verb, err)
		return ctx, wire.ErrorToWire(err)
	}
	c, err := admit(*g.access.Load(), id, verb)
	if err != nil {
		g.refuse(c, verb, err)
		return ctx, wire.ErrorToWire(err)
	}
	return context.WithValue(ctx, clientKey{}, c), nil
}

// refuse tells of a call that was not let in.
func (g *gate) refuse(c client, verb string, err error) {
	g.log.Warn("denied", "verb", verb, "client", c.name, "error", err)
	r := c.record(verb)
	r.ended(err)
	r.Outcome = "denied"
	g.audit(r)
}

// audit adds a line to the audit log, the new one where a reload has just
// closed the old.
func (g *gate) audit(r record) {
	for a := g.auditing.Load(); a.write(r); {
		next := g.auditing.Load()
		if next == a {
			g.log.Error("a line for the audit log came after its end", "verb", r.Verb, "client", r.Client)
			return
		}
		a = next
	}
}

// enter is at the begin of each call: it is who calls, and whose atoms they
// mean. asked is the owner that the request names.
func (g *gate) enter(ctx context.Context, verb, asked string) (context.Context, client, string, error) {
	c, ok := atom.ContextOr(ctx).Value(clientKey{}).(client)
	if !ok {
		return ctx, c, "", atom.Errorf(errdefs.ErrUnauthenticated, "the call was not let in by anybody")
	}
	owner := asked
	if c.owner != "" {
		if asked != "" && asked != c.owner {
			err := denied("access %q gives %s the atoms of owner %q; the request asks for those of %q", c.access, c.identity, c.owner, cut(asked, 64))
			g.refuse(c, verb, err)
			return ctx, c, "", &atom.OpError{Op: verb, Err: err}
		}
		owner = c.owner
	}
	return router.WithClient(ctx, router.Client{Name: c.name, Owner: owner}), c, owner, nil
}

func (g *gate) Get(req *atom.EngineGetRequest) (atom.Atom, error) {
	r := *req
	var err error
	if r.Context, _, r.Owner, err = g.enter(req.Context, "get", req.Owner); err != nil {
		return nil, err
	}
	return g.engine.Get(&r)
}

func (g *gate) Lookup(req *atom.EngineLookupRequest) (atom.Atom, error) {
	r := *req
	var err error
	if r.Context, _, r.Owner, err = g.enter(req.Context, "lookup", req.Owner); err != nil {
		return nil, err
	}
	return g.engine.Lookup(&r)
}

func (g *gate) Wait(req *atom.EngineWaitRequest) (atom.Atom, error) {
	r := *req
	var err error
	if r.Context, _, r.Owner, err = g.enter(req.Context, "wait", req.Owner); err != nil {
		return nil, err
	}
	return g.engine.Wait(&r)
}

func (g *gate) Logs(req *atom.EngineLogsRequest) (io.ReadCloser, error) {
	r := *req
	var err error
	if r.Context, _, r.Owner, err = g.enter(req.Context, "logs", req.Owner); err != nil {
		return nil, err
	}
	return g.engine.Logs(&r)
}

func (g *gate) List(req *atom.EngineListRequest) ([]atom.Atom, error) { return g.ListBackends(req) }

func (g *gate) ListBackends(req *atom.EngineListRequest, names ...string) ([]atom.Atom, error) {
	r := *req
	var err error
	if r.Context, _, r.Owner, err = g.enter(req.Context, "list", req.Owner); err != nil {
		return nil, err
	}
	return g.engine.ListBackends(&r, names...)
}

func (g *gate) StreamList(req *atom.EngineListRequest, found func(atom.Atom) error) error {
	return g.StreamBackends(req, found)
}

func (g *gate) StreamBackends(req *atom.EngineListRequest, found func(atom.Atom) error, names ...string) error {
	r := *req
	var err error
	if r.Context, _, r.Owner, err = g.enter(req.Context, "list", req.Owner); err != nil {
		return err
	}
	return g.engine.StreamBackends(&r, found, names...)
}

func (g *gate) Create(req *atom.EngineCreateRequest) (atom.Atom, error) {
	r := *req
	var c client
	var err error
	if r.Context, c, r.Owner, err = g.enter(req.Context, "create", req.Owner); err != nil {
		return nil, err
	}
	var a atom.Atom
	if g.draining.Load() {
		err = &atom.OpError{Op: "create", Err: atom.Errorf(errdefs.ErrUnavailable, "the daemon is shutting down and takes no new atoms")}
	} else {
		a, err = g.engine.Create(&r)
	}
	line := c.record("create")
	line.Owner, line.Name, line.Image = r.Owner, r.Name, r.Image
	if !r.FreshKey {
		line.Key = r.Key
	}
	if a != nil {
		info := atom.InfoOf(a)
		line.ID, line.Rule = info.ID, info.Rule
		line.Backend, _, _ = strings.Cut(info.ID, ":")
	}
	line.ended(err)
	line.Error = without(line.Error, r.Spec.Env)
	g.audit(line)
	return a, err
}

func (g *gate) Stop(req *atom.EngineStopRequest) error {
	r := *req
	var c client
	var err error
	if r.Context, c, r.Owner, err = g.enter(req.Context, "stop", req.Owner); err != nil {
		return err
	}
	return g.did(c, "stop", r.Owner, r.ID, g.engine.Stop(&r))
}

func (g *gate) Delete(req *atom.EngineDeleteRequest) error {
	r := *req
	var c client
	var err error
	if r.Context, c, r.Owner, err = g.enter(req.Context, "delete", req.Owner); err != nil {
		return err
	}
	return g.did(c, "delete", r.Owner, r.ID, g.engine.Delete(&r))
}

// did writes down how a call about one atom went.
func (g *gate) did(c client, verb, owner, id string, err error) error {
	line := c.record(verb)
	line.Owner, line.ID = owner, id
	line.Backend, _, _ = strings.Cut(id, ":")
	line.ended(err)
	g.audit(line)
	return err
}

// Probe tells what the backends can do together.
func (g *gate) Probe(ctx context.Context) (atom.Capabilities, error) { return g.engine.Probe(ctx) }

func (g *gate) Explain(ctx context.Context, req *atom.EngineCreateRequest) (router.Decision, error) {
	r := *req
	ctx, _, owner, err := g.enter(ctx, "explain", req.Owner)
	if err != nil {
		return router.Decision{}, err
	}
	r.Owner = owner
	return g.engine.Explain(ctx, &r)
}

func (g *gate) ProbeBackends(ctx context.Context, names ...string) ([]router.BackendStatus, error) {
	return g.engine.ProbeBackends(ctx, names...)
}

func (g *gate) Reload(ctx context.Context) ([]string, error) {
	ctx, c, _, err := g.enter(ctx, "reload", "")
	if err != nil {
		return nil, err
	}
	warnings, err := g.reload(ctx)
	line := c.record("reload")
	line.ended(err)
	g.audit(line)
	return warnings, err
}

// unary and stream count the calls under way and keep the daemon from ending
// with a panic in one of them.
func (g *gate) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (resp any, err error) {
	defer g.watch(info.FullMethod)()
	defer g.caught(info.FullMethod, &err)
	return next(ctx, req)
}

func (g *gate) stream(srv any, s grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) (err error) {
	defer g.watch(info.FullMethod)()
	defer g.caught(info.FullMethod, &err)
	return next(srv, s)
}

func (g *gate) watch(method string) (done func()) {
	if !strings.HasPrefix(method, "/atomrouter.") {
		return func() {}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.calls++
	return func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.calls--; g.calls == 0 && g.idle != nil {
			close(g.idle)
			g.idle = nil
		}
	}
}

func (g *gate) caught(method string, err *error) {
	if p := recover(); p != nil {
		g.log.Error("panic", "method", method, "panic", p, "stack", string(debug.Stack()))
		*err = wire.ErrorToWire(atom.Errorf(errdefs.ErrInternal, "the daemon panicked in %s; its log has more", method))
	}
}

// settled returns when no call is under way, or ctx ends.
func (g *gate) settled(ctx context.Context) error {
	g.mu.Lock()
	if g.calls == 0 {
		g.mu.Unlock()
		return nil
	}
	idle := make(chan struct{})
	g.idle = idle
	g.mu.Unlock()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("calls are under way yet: %w", ctx.Err())
	}
}
