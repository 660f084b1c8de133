package plugin

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	"github.com/atom-router/atom-router/atom"
	pb "github.com/atom-router/atom-router/plugin/proto/atomrouter/engine/v1"
)

// telling is an engine whose Create tells of what it does.
type telling struct {
	scripted
	tell func(r *atom.EngineCreateRequest)
	seen chan *atom.EngineCreateRequest
}

func (e *telling) Create(r *atom.EngineCreateRequest) (atom.Atom, error) {
	if e.seen != nil {
		e.seen <- r
	}
	e.tell(r)
	return e.answer(r.Context)
}

func fine(context.Context) error { return nil }

func TestProgress(t *testing.T) {
	want := []atom.Progress{
		{Phase: atom.PhasePulling, Text: "pulling x"},
		{Phase: atom.PhasePulling, Text: "pulling x", Done: 3 << 40, Total: 5 << 40},
		{Backend: "edge", Phase: "another", Text: "no UTF-8: \uFFFD"},
	}
	sent := slices.Clone(want)
	sent[2].Text = "no UTF-8: \xff"
	e := &telling{scripted: scripted{do: fine}, seen: make(chan *atom.EngineCreateRequest, 2)}
	e.tell = func(r *atom.EngineCreateRequest) {
		for _, p := range sent {
			r.Report(p)
		}
	}
	c := connect(t, e)
	var got []atom.Progress
	r := &atom.EngineCreateRequest{Image: "x", Key: "k", Owner: "o", Progress: func(p atom.Progress) { got = append(got, p) }}
	a, err := c.Create(r)
	if err != nil || a.ID() != "x" {
		t.Fatal(a, err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if seen := <-e.seen; seen.Key != "k" || seen.Owner != "o" || seen.Hash() != r.Hash() {
		t.Errorf("the engine was asked for %+v", seen)
	}
	// Nobody asks: the engine is not asked to tell, and nothing is sent.
	if _, err := c.Create(&atom.EngineCreateRequest{Image: "x"}); err != nil {
		t.Fatal(err)
	}
	if seen := <-e.seen; seen.Progress != nil {
		t.Error("an engine is to tell a caller who did not ask")
	}
}

// An engine may break what it promised; the process it lives in may not.
func TestProgressAtAnyTime(t *testing.T) {
	over := make(chan struct{})
	var tellers sync.WaitGroup
	c := connect(t, &telling{scripted: scripted{do: fine}, tell: func(r *atom.EngineCreateRequest) {
		begun := make(chan struct{}, 4)
		for range 4 {
			tellers.Go(func() {
				r.Report(atom.Progress{Text: "at once"})
				begun <- struct{}{}
				for {
					select {
					case <-over:
						return
					default:
						r.Report(atom.Progress{Text: "and on"})
					}
				}
			})
		}
		<-begun
	}})
	told := 0 // without a lock: one at a time, and before the return
	a, err := c.Create(&atom.EngineCreateRequest{Image: "x", Progress: func(atom.Progress) { told++ }})
	if err != nil || a.ID() != "x" || told == 0 {
		t.Errorf("got %v, %v after being told %d times", a, err, told)
	}
	told = -1
	close(over)
	tellers.Wait()
	if told != -1 {
		t.Error("told after the Create had returned")
	}
}

// The same, as the stream sees it: one message at a time, the atom last, and
// nothing once the call is over.
func TestProgressOnTheStream(t *testing.T) {
	var after atomic.Int64
	over := make(chan struct{})
	var teller sync.WaitGroup
	out := &outgoing{ctx: t.Context()}
	s := &server{engine: func() (atom.Engine, error) {
		return &telling{scripted: scripted{do: fine}, tell: func(r *atom.EngineCreateRequest) {
			begun := make(chan struct{})
			for n := range 2 {
				teller.Go(func() {
					r.Report(atom.Progress{})
					if n == 0 {
						close(begun)
					}
					for {
						select {
						case <-over:
							return
						default:
							r.Report(atom.Progress{})
							if out.ended.Load() {
								after.Add(1)
							}
						}
					}
				})
			}
			<-begun
		}}, nil
	}, log: hclog.NewNullLogger()}
	if err := s.CreateWithProgress(&pb.CreateRequest{Image: "x"}, out); err != nil {
		t.Error(err)
	}
	out.ended.Store(true)
	for after.Load() < 100 {
		runtime.Gosched()
	}
	close(over)
	teller.Wait()
	if out.atoms.Load() != 1 || out.wrong.Load() != 0 {
		t.Errorf("%d atoms, %d messages at a time or after the atom", out.atoms.Load(), out.wrong.Load())
	}
}

// outgoing is the server's side of a CreateWithProgress.
type outgoing struct {
	grpc.ServerStream
	ctx          context.Context
	sending      atomic.Bool
	ended        atomic.Bool
	atoms, wrong atomic.Int64
}

func (o *outgoing) Context() context.Context { return o.ctx }

func (o *outgoing) Send(r *pb.CreateWithProgressResponse) error {
	if !o.sending.CompareAndSwap(false, true) || o.atoms.Load() > 0 {
		o.wrong.Add(1)
		return nil
	}
	if r.GetAtom() != nil {
		o.atoms.Add(1)
	}
	runtime.Gosched()
	o.sending.Store(false)
	return nil
}

// older serves what the protocol had before there was progress.
type older struct{ pb.EngineServer }

func (o older) CreateWithProgress(r *pb.CreateRequest, s grpc.ServerStreamingServer[pb.CreateWithProgressResponse]) error {
	return pb.UnimplementedEngineServer{}.CreateWithProgress(r, s)
}

func TestProgressOfAnOlderSide(t *testing.T) {
	e := &telling{scripted: scripted{do: fine}, tell: func(r *atom.EngineCreateRequest) { r.Report(atom.Progress{Text: "heard by nobody"}) }}
	listener := bufconn.Listen(64 << 10)
	s := grpc.NewServer()
	pb.RegisterEngineServer(s, older{&server{engine: func() (atom.Engine, error) { return e, nil }}})
	go s.Serve(listener) // ends with Stop
	defer s.Stop()
	var calls []string
	conn, err := grpc.NewClient("passthrough:memory", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }),
		grpc.WithUnaryInterceptor(func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, next grpc.UnaryInvoker, opts ...grpc.CallOption) error {
			calls = append(calls, method)
			return next(ctx, method, req, reply, cc, opts...)
		}),
		grpc.WithStreamInterceptor(func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, next grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
			calls = append(calls, method)
			return next(ctx, desc, cc, method, opts...)
		}))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	c := NewClient(conn)
	const plain, progress = pb.Engine_Create_FullMethodName, pb.Engine_CreateWithProgress_FullMethodName
	for _, test := range []struct {
		name  string
		mute  bool
		calls []string
	}{
		{"not known to be older", false, []string{progress, plain}},
		{"known by its minor version", true, []string{plain}},
	} {
		calls, c.mute = nil, test.mute
		a, err := c.Create(&atom.EngineCreateRequest{Image: "x", Progress: func(p atom.Progress) { t.Errorf("told %+v", p) }})
		if err != nil || a.ID() != "x" || !slices.Equal(calls, test.calls) {
			t.Errorf("%s: got %v, %v by %q", test.name, a, err, calls)
		}
	}
}

// What is known of a Create whose connection broke does not depend on whether
// its caller wants to see progress.
func TestCreateThatBreaks(t *testing.T) {
	for _, progress := range []func(atom.Progress){nil, func(atom.Progress) {}} {
		t.Run(fmt.Sprint("progress: ", progress != nil), func(t *testing.T) {
			arrived := make(chan struct{})
			listener := bufconn.Listen(64 << 10)
			s := grpc.NewServer()
			RegisterEngine(s, &telling{
				scripted: scripted{do: func(ctx context.Context) error { close(arrived); <-ctx.Done(); return ctx.Err() }},
				tell:     func(r *atom.EngineCreateRequest) { r.Report(atom.Progress{Text: "so far so good"}) },
			}, nil)
			go s.Serve(listener) // ends with Stop
			conn, err := grpc.NewClient("passthrough:memory", grpc.WithTransportCredentials(insecure.NewCredentials()),
				grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			go func() { <-arrived; s.Stop() }() // ends with the Create's arrival
			_, err = NewClient(conn).Create(&atom.EngineCreateRequest{Image: "x", Key: "k", Progress: progress})
			var unknown *atom.OutcomeUnknown
			if !errors.As(err, &unknown) || unknown.Key != "k" || !errdefs.IsUnavailable(err) {
				t.Errorf("got %v", err)
			}
		})
	}
}
