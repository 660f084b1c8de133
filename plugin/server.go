package plugin

import (
	"context"
	"runtime/debug"
	"sync"

	"github.com/containerd/errdefs"
	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/internal/wire"
	pb "github.com/atom-router/atom-router/plugin/proto/atomrouter/engine/v1"
)

// RegisterEngine serves e at s. It is what Serve does for a plugin, without
// the process around it: for tests over a connection in memory, and for
// servers that are no plugins. Describe and Configure are NotImplemented. e is
// not closed. log, which may be nil, is told of its panics.
func RegisterEngine(s grpc.ServiceRegistrar, e atom.Engine, log Logger) {
	if log == nil {
		log = hclog.NewNullLogger()
	}
	pb.RegisterEngineServer(s, &server{engine: func() (atom.Engine, error) { return e, nil }, log: log})
}

// server puts an engine on the wire. It converts and does nothing else, but
// for keeping a panic in an engine from ending the process.
type server struct {
	pb.UnimplementedEngineServer
	engine func() (atom.Engine, error)
	log    hclog.Logger
}

// call asks the engine something, and turns its panic into an Internal error.
func call[T any](s *server, method string, ask func(atom.Engine) (T, error)) (answer T, err error) {
	defer func() {
		if p := recover(); p != nil {
			s.log.Error("panic in the engine", "method", method, "panic", p, "stack", string(debug.Stack()))
			err = wire.ErrorToWire(atom.Errorf(errdefs.ErrInternal, "the engine panicked in %s: %v", method, p))
		}
	}()
	e, err := s.engine()
	if err != nil {
		return answer, wire.ErrorToWire(err)
	}
	answer, err = ask(e)
	if err != nil {
		return answer, wire.ErrorToWire(err)
	}
	return answer, nil
}

func (s *server) Probe(ctx context.Context, _ *pb.ProbeRequest) (*pb.ProbeResponse, error) {
	return call(s, "Probe", func(e atom.Engine) (*pb.ProbeResponse, error) {
		p, ok := e.(atom.Prober)
		if !ok {
			return nil, lacks("Probe")
		}
		cs, err := p.Probe(ctx)
		return &pb.ProbeResponse{Capabilities: wire.CapabilitiesToWire(cs)}, err
	})
}

func (s *server) Lookup(ctx context.Context, r *pb.LookupRequest) (*pb.LookupResponse, error) {
	return call(s, "Lookup", func(e atom.Engine) (*pb.LookupResponse, error) {
		l, ok := e.(atom.Lookuper)
		if !ok {
			return nil, lacks("Lookup")
		}
		a, err := l.Lookup(&atom.EngineLookupRequest{Owner: r.Owner, Key: r.Key, Context: ctx})
		if err != nil {
			return nil, err
		}
		return &pb.LookupResponse{Atom: wire.AtomToWire(a)}, nil
	})
}

func (s *server) Create(ctx context.Context, r *pb.CreateRequest) (*pb.CreateResponse, error) {
	a, err := s.create(ctx, "Create", r, nil)
	if err != nil {
		return nil, err
	}
	return &pb.CreateResponse{Atom: a}, nil
}

func (s *server) CreateWithProgress(r *pb.CreateRequest, stream grpc.ServerStreamingServer[pb.CreateWithProgressResponse]) error {
	steps := &steps{stream: stream}
	a, err := s.create(stream.Context(), "CreateWithProgress", r, steps.progress)
	steps.end()
	if err != nil {
		return err
	}
	return stream.Send(&pb.CreateWithProgressResponse{Step: &pb.CreateWithProgressResponse_Atom{Atom: a}})
}

func (s *server) create(ctx context.Context, method string, r *pb.CreateRequest, progress func(atom.Progress)) (*pb.Atom, error) {
	return call(s, method, func(e atom.Engine) (*pb.Atom, error) {
		req := wire.CreateFromWire(r)
		req.Context, req.Progress = ctx, progress
		a, err := e.Create(req)
		if err != nil {
			return nil, err
		}
		return wire.AtomToWire(a), nil
	})
}

// steps sends the progress of one Create. A stream that is written to by two
// at once, or after its end, breaks the process: engines that do not keep to
// the contract do not get that far.
type steps struct {
	stream grpc.ServerStreamingServer[pb.CreateWithProgressResponse]
	mu     sync.Mutex
	ended  bool
}

func (s *steps) progress(p atom.Progress) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.ended {
		// A stream that is gone ends the Create by its context.
		_ = s.stream.Send(&pb.CreateWithProgressResponse{Step: &pb.CreateWithProgressResponse_Progress{Progress: wire.ProgressToWire(p)}})
	}
}

func (s *steps) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
}

func (s *server) Get(ctx context.Context, r *pb.GetRequest) (*pb.GetResponse, error) {
	return call(s, "Get", func(e atom.Engine) (*pb.GetResponse, error) {
		a, err := e.Get(&atom.EngineGetRequest{Owner: r.Owner, ID: r.Id, Context: ctx})
		if err != nil {
			return nil, err
		}
		return &pb.GetResponse{Atom: wire.AtomToWire(a)}, nil
	})
}

func (s *server) Wait(ctx context.Context, r *pb.WaitRequest) (*pb.WaitResponse, error) {
	return call(s, "Wait", func(e atom.Engine) (*pb.WaitResponse, error) {
		a, err := e.Wait(&atom.EngineWaitRequest{Owner: r.Owner, ID: r.Id, Context: ctx})
		if err != nil {
			return nil, err
		}
		return &pb.WaitResponse{Atom: wire.AtomToWire(a)}, nil
	})
}

func (s *server) Stop(ctx context.Context, r *pb.StopRequest) (*pb.StopResponse, error) {
	return call(s, "Stop", func(e atom.Engine) (*pb.StopResponse, error) {
		req := wire.StopFromWire(r)
		req.Context = ctx
		return &pb.StopResponse{}, e.Stop(req)
	})
}

func (s *server) Delete(ctx context.Context, r *pb.DeleteRequest) (*pb.DeleteResponse, error) {
	return call(s, "Delete", func(e atom.Engine) (*pb.DeleteResponse, error) {
		d, ok := e.(atom.Deleter)
		if !ok {
			return nil, lacks("Delete")
		}
		return &pb.DeleteResponse{}, d.Delete(&atom.EngineDeleteRequest{Owner: r.Owner, ID: r.Id, Force: r.Force, Context: ctx})
	})
}

func (s *server) List(r *pb.ListRequest, stream grpc.ServerStreamingServer[pb.ListResponse]) error {
	req, anyOrder := wire.ListFromWire(r)
	req.Context = stream.Context()
	method := "List"
	if anyOrder {
		method = "StreamList"
	}
	_, err := call(s, method, func(e atom.Engine) (struct{}, error) {
		if !anyOrder {
			// A router that could not ask all its backends has both.
			atoms, err := e.List(req)
			if serr := wire.SendAtoms(atoms, stream.Send); serr != nil {
				return struct{}{}, serr
			}
			return struct{}{}, err
		}
		batches := wire.NewBatches(stream.Send)
		defer func() { _ = batches.End() }() // an engine may panic
		err := atom.StreamList(e, req, batches.Add)
		if serr := batches.End(); serr != nil {
			return struct{}{}, serr
		}
		return struct{}{}, err
	})
	return err
}

func lacks(method string) error {
	return atom.Errorf(errdefs.ErrNotImplemented, "the engine has no %s", method)
}
