package router

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/plugin"
)

// far is an engine behind a socket, whose connections can be cut.
type far struct {
	t      *testing.T
	engine atom.Engine
	path   string

	mu     sync.Mutex
	server *grpc.Server
	done   chan struct{}
}

func newFar(t *testing.T, e atom.Engine) *far {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "atr") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	f := &far{t: t, engine: e, path: filepath.Join(dir, "s")}
	f.serve()
	t.Cleanup(func() {
		f.end()
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return f
}

func (f *far) serve() {
	l, err := net.Listen("unix", f.path)
	if err != nil {
		f.t.Fatal(err)
	}
	s := grpc.NewServer()
	plugin.RegisterEngine(s, f.engine, nil)
	grpc_health_v1.RegisterHealthServer(s, health.NewServer())
	done := make(chan struct{})
	go func() { // ends with the server
		_ = s.Serve(l)
		close(done)
	}()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.server, f.done = s, done
}

func (f *far) end() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.server.Stop()
	<-f.done
}

// cut ends all connections; the engine lives on, and new ones are taken.
func (f *far) cut() {
	f.end()
	f.serve()
}

func (f *far) dial() *Remote {
	f.t.Helper()
	r, err := Dial(f.t.Context(), Endpoint{Address: "unix://" + f.path}, Options{})
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { r.Close() })
	return r
}

// A client that lost its connection, and not its interest, asks again under
// its Key: what the first asking made is not thrown out as a cancelled
// Create's is.
func TestCreateOverALostConnection(t *testing.T) {
	f := &fake{}
	lose := make(chan struct{})
	var once sync.Once
	f.after = func(r *atom.EngineCreateRequest) error {
		var err error
		once.Do(func() {
			close(lose)
			<-r.Context.Done()
			err = r.Context.Err()
		})
		return err
	}
	e := newEngine(t, Config{Backends: backends(f), Default: Rule{Tiers: tiers("a")}})
	server := newFar(t, e)
	r := server.dial()
	go func() { // ends with the first Create
		<-lose
		server.cut()
	}()
	a, err := r.Create(&atom.EngineCreateRequest{Image: "x"})
	if err != nil {
		t.Fatal(err)
	}
	e.tidying.Wait()
	if got, err := r.Get(&atom.EngineGetRequest{ID: a.ID()}); err != nil || f.asked("delete") > 0 {
		t.Errorf("the atom that Create returned: %v, %v; %d Deletes", got, err, f.asked("delete"))
	}
	if n := f.count(); n != 1 {
		t.Errorf("there are %d atoms, want 1", n)
	}
}

// A Create that its caller cancels leaves nothing.
func TestCancelledCreateAtADaemon(t *testing.T) {
	f := &fake{}
	made := make(chan struct{})
	f.after = func(r *atom.EngineCreateRequest) error {
		close(made)
		<-r.Context.Done()
		return r.Context.Err()
	}
	e := newEngine(t, Config{Backends: backends(f), Default: Rule{Tiers: tiers("a")}})
	r := newFar(t, e).dial()
	ctx, cancel := context.WithCancel(t.Context())
	go func() { // ends with the Create
		<-made
		cancel()
	}()
	if _, err := r.Create(&atom.EngineCreateRequest{Image: "x", Context: ctx}); err != context.Canceled && !errdefs.IsCanceled(err) {
		t.Errorf("got error %v, want the context's", err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	e.tidying.Wait()
	if n := f.count(); n != 0 {
		t.Errorf("there are %d atoms, want none", n)
	}
}

// Where the daemon comes back without the backend, nobody knows that the atom
// is gone.
func TestWaitWhoseBackendIsGone(t *testing.T) {
	f := with("k")
	config := Config{Backends: backends(f), Default: Rule{Tiers: tiers("a")}}
	server := newFar(t, newEngine(t, config))
	r := server.dial()
	waited := make(chan error, 1)
	go func() { // ends with the Wait
		a, err := r.Wait(&atom.EngineWaitRequest{ID: "a:ns/a1:x"})
		if err == nil {
			t.Errorf("the Wait says %s: %s", a.State(), atom.InfoOf(a).Message)
		}
		waited <- err
	}()
	eventually(t, "the Wait", func() bool { return f.asked("wait") == 1 })
	config.Backends[0].Name = "b"
	config.Default = Rule{Tiers: tiers("b")}
	server.engine = newEngine(t, config)
	server.cut()
	if err := <-waited; !errdefs.IsNotFound(err) {
		t.Errorf("got error %v, want NotFound", err)
	}
}

func TestDeleteWhoseBackendIsGone(t *testing.T) {
	f := with("k")
	asked := make(chan struct{})
	f.delete = func(r *atom.EngineDeleteRequest) error {
		close(asked)
		<-r.Context.Done()
		return r.Context.Err()
	}
	config := Config{Backends: backends(f), Default: Rule{Tiers: tiers("a")}}
	server := newFar(t, newEngine(t, config))
	r := server.dial()
	config.Backends[0].Name = "b"
	config.Default = Rule{Tiers: tiers("b")}
	next := newEngine(t, config)
	go func() { // ends with the Delete
		<-asked
		server.engine = next
		server.cut()
	}()
	if err := r.Delete(&atom.EngineDeleteRequest{ID: "a:ns/a1:x", Force: true}); !errdefs.IsNotFound(err) {
		t.Errorf("got error %v, want NotFound: the atom is where it was", err)
	}
}

// Where a backend knows no Keys, an answer that was lost is not known; that a
// second asking under the Key is refused says nothing of the first.
func TestCreateWithoutKeysOverALostConnection(t *testing.T) {
	for name, engines := range map[string][]atom.Engine{
		"alone":                nil,
		"beside one that does": {&fake{}},
	} {
		t.Run(name, func(t *testing.T) {
			f := &fake{can: atom.Capabilities{atom.CapImages}}
			lose := make(chan struct{})
			f.after = func(r *atom.EngineCreateRequest) error {
				close(lose)
				<-r.Context.Done()
				return r.Context.Err()
			}
			all := append([]atom.Engine{bareProber{f}}, engines...)
			targets := []string{"a", "b"}[:len(all)]
			e := newEngine(t, Config{Backends: backends(all...), Default: Rule{Tiers: tiers(targets...)}})
			server := newFar(t, e)
			r := server.dial()
			go func() { // ends with the first Create
				<-lose
				server.cut()
			}()
			a, err := r.Create(&atom.EngineCreateRequest{Image: "x"})
			if !isUnknown(err) {
				t.Errorf("got %v, %v; want an OutcomeUnknown: %d atoms are there", a, err, f.count())
			}
			for _, other := range engines {
				if n := other.(*fake).count(); n != 0 {
					t.Errorf("there is a second atom")
				}
			}
		})
	}
}

// bareProber has no more than the contract's six methods and Probe.
type bareProber struct{ *fake }

func (bareProber) Lookup() {}

// A backend that hangs takes nothing from the others: a router in front of
// this one believes it dead that does not answer a probe within seconds.
func TestProbeBesideABackendThatHangs(t *testing.T) {
	hung := &prober{probe: func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }}
	f := &fake{}
	inner := newEngine(t, Config{Backends: backends(hung, f), Default: Rule{Tiers: tiers("b")}})
	server := newFar(t, inner)
	outer := newEngine(t, Config{Backends: []Backend{{Name: "edge", Address: "unix://" + server.path}}, Default: Rule{Tiers: tiers("edge")}})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := outer.Create(&atom.EngineCreateRequest{Image: "x", Context: ctx}); err != nil {
		t.Error(err)
	}
}

func isUnknown(err error) bool {
	var unknown *atom.OutcomeUnknown
	return errors.As(err, &unknown)
}
