package plugin

import (
	"context"
	"io"
	"time"

	"github.com/containerd/errdefs"
	"google.golang.org/grpc"
	"google.golang.org/grpc/peer"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/internal/wire"
	pb "github.com/atom-router/atom-router/plugin/proto/atomrouter/engine/v1"
)

// MaxMessageBytes is the largest message that either end of the wire takes.
const MaxMessageBytes = wire.MaxMessageBytes

// Client is an atom.Engine at the other end of a gRPC connection: a plugin
// process, or whatever else serves the protocol. It implements all optional
// interfaces; calls that the engine behind it cannot serve are NotImplemented.
//
// A broken connection is Unavailable, and for a Create that may have reached
// the engine an *atom.OutcomeUnknown. All methods may be called from any number of
// goroutines.
type Client struct {
	rpc     pb.EngineClient
	options []grpc.CallOption
	// tells is set where a call tells whether it got as far as the other
	// side.
	tells bool
	// mute is set where the other side is known to have no
	// CreateWithProgress.
	mute bool
	// plain is set where the other side is a plugin and no router. It is not
	// sent what routers say to one another: to an engine that compares whole
	// messages, the second of two Creates under a Key would be another request.
	plain bool
}

var (
	_ atom.Engine   = (*Client)(nil)
	_ atom.Deleter  = (*Client)(nil)
	_ atom.Lookuper = (*Client)(nil)
	_ atom.Prober   = (*Client)(nil)

	_ atom.ListStreamer = (*Client)(nil)
)

// NewClient returns a client over conn, which stays the caller's to close.
func NewClient(conn grpc.ClientConnInterface) *Client {
	_, tells := conn.(*grpc.ClientConn)
	return &Client{rpc: pb.NewEngineClient(conn), options: wire.CallOptions(), tells: tells}
}

// Probe implements atom.Prober.
func (c *Client) Probe(ctx context.Context) (atom.Capabilities, error) {
	resp, err := c.rpc.Probe(ctx, &pb.ProbeRequest{}, c.options...)
	if err != nil {
		return nil, wire.ErrorFromWire(ctx, err)
	}
	return wire.CapabilitiesFromWire(resp.Capabilities), nil
}

// Get implements atom.Engine.
func (c *Client) Get(r *atom.EngineGetRequest) (atom.Atom, error) {
	if err := wire.Sendable("id", r.ID, "owner", r.Owner); err != nil {
		return nil, err
	}
	ctx := atom.ContextOr(r.Context)
	resp, err := c.rpc.Get(ctx, &pb.GetRequest{Owner: r.Owner, Id: r.ID}, c.options...)
	return c.atom(ctx, resp.GetAtom(), err)
}

// Lookup implements atom.Lookuper.
func (c *Client) Lookup(r *atom.EngineLookupRequest) (atom.Atom, error) {
	if err := wire.Sendable("key", r.Key, "owner", r.Owner); err != nil {
		return nil, err
	}
	ctx := atom.ContextOr(r.Context)
	resp, err := c.rpc.Lookup(ctx, &pb.LookupRequest{Owner: r.Owner, Key: r.Key}, c.options...)
	return c.atom(ctx, resp.GetAtom(), err)
}

// Create implements atom.Engine. Where the connection broke after the request
// had gone out and before the answer came, the error is an
// *atom.OutcomeUnknown.
func (c *Client) Create(r *atom.EngineCreateRequest) (atom.Atom, error) {
	if err := r.Validate(); err != nil { // refuses what is not sendable, too
		return nil, err
	}
	ctx := atom.ContextOr(r.Context)
	var reached peer.Peer // filled in once the call has a connection
	made, err := c.create(ctx, r, &reached)
	if err != nil && ctx.Err() == nil && wire.Broken(err) && (reached.Addr != nil || !c.tells) {
		return nil, &atom.OutcomeUnknown{Key: r.Key, Err: wire.ErrorFromWire(ctx, err)}
	}
	return c.atom(ctx, made, err)
}

// create calls the method that the caller needs and the other side has. Its
// error is the wire's.
func (c *Client) create(ctx context.Context, r *atom.EngineCreateRequest, reached *peer.Peer) (*pb.Atom, error) {
	options := append(c.options[:len(c.options):len(c.options)], grpc.Peer(reached))
	if c.plain && (r.FreshKey || r.AskedAgain) {
		own := *r
		own.FreshKey, own.AskedAgain = false, false
		r = &own
	}
	if r.Progress != nil && !c.mute {
		made, err := c.createWithProgress(ctx, r, options)
		if !wire.Unknown(err) {
			return made, err
		}
		*reached = peer.Peer{}
	}
	resp, err := c.rpc.Create(ctx, wire.CreateToWire(r), options...)
	return resp.GetAtom(), err
}

func (c *Client) createWithProgress(ctx context.Context, r *atom.EngineCreateRequest, options []grpc.CallOption) (*pb.Atom, error) {
	// Whatever ends the loop below ends the stream.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := c.rpc.CreateWithProgress(ctx, wire.CreateToWire(r), options...)
	if err != nil {
		return nil, err
	}
	for {
		resp, err := stream.Recv()
		switch {
		case err == io.EOF:
			return nil, nil
		case err != nil:
			return nil, err
		}
		switch step := resp.GetStep().(type) {
		case *pb.CreateWithProgressResponse_Progress:
			r.Progress(wire.ProgressFromWire(step.Progress))
		case *pb.CreateWithProgressResponse_Atom:
			// The end comes with it, so that the call has not failed for those
			// who watch the connection; nobody waits long for it.
			defer time.AfterFunc(time.Second, cancel).Stop()
			_, _ = stream.Recv()
			return step.Atom, nil
		}
	}
}

// Wait implements atom.Engine.
func (c *Client) Wait(r *atom.EngineWaitRequest) (atom.Atom, error) {
	if err := wire.Sendable("id", r.ID, "owner", r.Owner); err != nil {
		return nil, err
	}
	ctx := atom.ContextOr(r.Context)
	resp, err := c.rpc.Wait(ctx, &pb.WaitRequest{Owner: r.Owner, Id: r.ID}, c.options...)
	return c.atom(ctx, resp.GetAtom(), err)
}

// Stop implements atom.Engine.
func (c *Client) Stop(r *atom.EngineStopRequest) error {
	if err := wire.Sendable("id", r.ID, "owner", r.Owner); err != nil {
		return err
	}
	ctx := atom.ContextOr(r.Context)
	_, err := c.rpc.Stop(ctx, wire.StopToWire(r), c.options...)
	return wire.ErrorFromWire(ctx, err)
}

// Delete implements atom.Deleter.
func (c *Client) Delete(r *atom.EngineDeleteRequest) error {
	if err := wire.Sendable("id", r.ID, "owner", r.Owner); err != nil {
		return err
	}
	ctx := atom.ContextOr(r.Context)
	_, err := c.rpc.Delete(ctx, &pb.DeleteRequest{Owner: r.Owner, Id: r.ID, Force: r.Force}, c.options...)
	return wire.ErrorFromWire(ctx, err)
}

// List implements atom.Engine.
func (c *Client) List(r *atom.EngineListRequest) ([]atom.Atom, error) {
	if err := wire.Sendable("owner", r.Owner); err != nil {
		return nil, err
	}
	ctx := atom.ContextOr(r.Context)
	// Whatever ends the loop below ends the stream.
	streaming, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := c.rpc.List(streaming, wire.ListToWire(r, false), c.options...)
	if err != nil {
		return nil, wire.ErrorFromWire(ctx, err)
	}
	return wire.ReceiveAtoms(ctx, stream.Recv, c)
}

// StreamList implements atom.ListStreamer. An engine that cannot do so sends
// what it lists when it has all.
func (c *Client) StreamList(r *atom.EngineListRequest, found func(atom.Atom) error) error {
	if err := wire.Sendable("owner", r.Owner); err != nil {
		return err
	}
	ctx := atom.ContextOr(r.Context)
	streaming, cancel := context.WithCancel(ctx) // as above
	defer cancel()
	stream, err := c.rpc.List(streaming, wire.ListToWire(r, true), c.options...)
	if err != nil {
		return wire.ErrorFromWire(ctx, err)
	}
	return wire.EachAtom(ctx, stream.Recv, c, found)
}

// atom is the answer of a call that returns one.
func (c *Client) atom(ctx context.Context, w *pb.Atom, err error) (atom.Atom, error) {
	if err != nil {
		return nil, wire.ErrorFromWire(ctx, err)
	}
	if w.GetId() == "" {
		return nil, atom.Errorf(errdefs.ErrInternal, "the answer has no atom")
	}
	return wire.AtomFromWire(w, c), nil
}
