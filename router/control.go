package router

import (
	"context"
	"errors"

	"github.com/containerd/errdefs"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/internal/wire"
	pb "github.com/atom-router/atom-router/plugin/proto/atomrouter/engine/v1"
	routerpb "github.com/atom-router/atom-router/plugin/proto/atomrouter/router/v1"
)

// Control is what a daemon answers for the whole of its router. Its methods
// are Engine's and, but for Reload, mean the same.
type Control interface {
	Explain(context.Context, *atom.EngineCreateRequest) (Decision, error)
	ProbeBackends(ctx context.Context, names ...string) ([]BackendStatus, error)
	ListBackends(req *atom.EngineListRequest, names ...string) ([]atom.Atom, error)
	StreamBackends(req *atom.EngineListRequest, found func(atom.Atom) error, names ...string) error
	// Reload reads the config again and turns to it.
	Reload(context.Context) (warnings []string, err error)
}

// RegisterControl serves c at s; Remote is its client. plugin.RegisterEngine
// serves the rest of a router.
func RegisterControl(s grpc.ServiceRegistrar, c Control) {
	routerpb.RegisterRouterServer(s, &control{c: c})
}

type control struct {
	routerpb.UnimplementedRouterServer
	c Control
}

func (s *control) Explain(ctx context.Context, r *routerpb.ExplainRequest) (*routerpb.ExplainResponse, error) {
	if r.GetCreate() == nil {
		return nil, wire.ErrorToWire(&atom.FieldError{Field: "create", Reason: "is required"})
	}
	req := wire.CreateFromWire(r.Create)
	req.Context = ctx
	d, err := s.c.Explain(ctx, req)
	if err != nil {
		return nil, wire.ErrorToWire(err)
	}
	return decisionToWire(&d), nil
}

func (s *control) Backends(ctx context.Context, r *routerpb.BackendsRequest) (*routerpb.BackendsResponse, error) {
	all, err := s.c.ProbeBackends(ctx, r.GetNames()...)
	if err != nil {
		return nil, wire.ErrorToWire(err)
	}
	return statusesToWire(all), nil
}

func (s *control) List(r *routerpb.ListRequest, stream grpc.ServerStreamingServer[pb.ListResponse]) error {
	req, anyOrder := &atom.EngineListRequest{}, false
	if r.GetList() != nil {
		req, anyOrder = wire.ListFromWire(r.List)
	}
	req.Context = stream.Context()
	if anyOrder {
		batches := wire.NewBatches(stream.Send)
		err := s.c.StreamBackends(req, batches.Add, r.GetBackends()...)
		if serr := batches.End(); serr != nil {
			return serr
		}
		return wire.ErrorToWire(err)
	}
	atoms, err := s.c.ListBackends(req, r.GetBackends()...)
	if serr := wire.SendAtoms(atoms, stream.Send); serr != nil {
		return serr
	}
	return wire.ErrorToWire(err)
}

func (s *control) Reload(ctx context.Context, _ *routerpb.ReloadRequest) (*routerpb.ReloadResponse, error) {
	warnings, err := s.c.Reload(ctx)
	if err != nil {
		return nil, wire.ErrorToWire(err)
	}
	return &routerpb.ReloadResponse{Warnings: warnings}, nil
}

func decisionToWire(d *Decision) *routerpb.ExplainResponse {
	w := &routerpb.ExplainResponse{Rule: d.Rule, AllowDuplicates: d.AllowDuplicates, Rejected: wire.Text(d.Rejected)}
	for _, c := range d.Candidates {
		one := &routerpb.Candidate{
			Backend: c.Backend, Tier: int32(c.Tier), Cause: string(c.Cause), Missing: wire.CapabilitiesToWire(c.Missing),
			Reason: wire.Text(c.Reason), Weight: int32(c.weight), TierWeight: int32(c.total),
		}
		for _, on := range c.On {
			one.On = append(one.On, string(on))
		}
		w.Candidates = append(w.Candidates, one)
	}
	for _, t := range d.Trace {
		w.Trace = append(w.Trace, &routerpb.RuleTrace{Rule: t.Rule, Matched: t.Matched, Reason: wire.Text(t.Reason)})
	}
	return w
}

func decisionFromWire(w *routerpb.ExplainResponse) Decision {
	d := Decision{Rule: w.GetRule(), AllowDuplicates: w.GetAllowDuplicates(), Rejected: w.GetRejected()}
	for _, c := range w.GetCandidates() {
		one := Candidate{
			Backend: c.GetBackend(), Tier: int(c.GetTier()), Cause: Cause(c.GetCause()), Reason: c.GetReason(),
			weight: int(c.GetWeight()), total: int(c.GetTierWeight()),
		}
		for _, m := range c.GetMissing() {
			one.Missing = append(one.Missing, atom.Capability(m))
		}
		for _, on := range c.GetOn() {
			one.On = append(one.On, Cause(on))
		}
		d.Candidates = append(d.Candidates, one)
	}
	for _, t := range w.GetTrace() {
		d.Trace = append(d.Trace, RuleTrace{Rule: t.GetRule(), Matched: t.GetMatched(), Reason: t.GetReason()})
	}
	return d
}

func statusesToWire(all []BackendStatus) *routerpb.BackendsResponse {
	w := &routerpb.BackendsResponse{}
	for _, b := range all {
		one := &routerpb.Backend{
			Name: b.Name, Plugin: b.Plugin, Address: b.Address, Version: wire.Text(b.Version), State: string(b.State),
			Restarts: int32(b.Restarts), MaxAtoms: int64(b.MaxAtoms), Drain: b.Drain,
		}
		if !b.Since.IsZero() {
			one.Since = timestamppb.New(b.Since)
		}
		if b.Retention > 0 {
			one.Retention = durationpb.New(b.Retention)
		}
		if b.LastError != nil {
			one.LastError = wire.Text(b.LastError.Error())
		}
		if b.Capabilities != nil {
			one.Capabilities = &routerpb.Capabilities{Names: wire.CapabilitiesToWire(b.Capabilities)}
		}
		w.Backends = append(w.Backends, one)
	}
	return w
}

func statusesFromWire(w *routerpb.BackendsResponse) []BackendStatus {
	var all []BackendStatus
	for _, b := range w.GetBackends() {
		one := BackendStatus{
			Name: b.GetName(), Plugin: b.GetPlugin(), Address: b.GetAddress(), Version: b.GetVersion(), State: BackendState(b.GetState()),
			Restarts: int(b.GetRestarts()), MaxAtoms: int(b.GetMaxAtoms()), Drain: b.GetDrain(), Retention: b.GetRetention().AsDuration(),
		}
		if b.Since != nil {
			one.Since = b.Since.AsTime()
		}
		if text := b.GetLastError(); text != "" {
			one.LastError = &reclassed{class: errdefs.ErrUnavailable, err: errors.New(text)}
		}
		if b.Capabilities != nil {
			one.Capabilities = wire.CapabilitiesFromWire(b.Capabilities.Names)
		}
		all = append(all, one)
	}
	return all
}
