package daemon

import (
	"context"
	"fmt"
	"io"
	"net"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/atom/container"
	pb "github.com/atom-router/atom-router/plugin/proto/atomrouter/engine/v1"
)

// A request of 100 MiB is refused, at the client where it keeps to the limits
// and by the daemon where it does not; others go on.
func TestLargeRequest(t *testing.T) {
	s := newSite(t)
	s.start(s.config(s.listen()))
	r := s.dial(s.endpoint())
	env := map[string]string{}
	for i := range 100 {
		env[fmt.Sprint("V", i)] = strings.Repeat("x", 1<<20)
	}
	_, err := r.Create(&atom.EngineCreateRequest{Image: "none", Command: []string{"true"}, Spec: container.Spec{Env: env}, Context: within(t)})
	if !errdefs.IsInvalidArgument(err) {
		t.Errorf("got error %.200v, want InvalidArgument", err)
	}
	conn, err := grpc.NewClient("unix://"+s.path("s"), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, err = pb.NewEngineClient(conn).Create(within(t), &pb.CreateRequest{Image: "none", Spec: &pb.Spec{Env: env}}, grpc.MaxCallSendMsgSize(1<<30))
	if status.Code(err) != codes.ResourceExhausted || !strings.Contains(err.Error(), "larger than max") {
		t.Errorf("got error %.200v, want that the message is too large", err)
	}
	if _, err := r.List(&atom.EngineListRequest{Context: within(t)}); err != nil {
		t.Error(err)
	}
}

// Ten thousand connections that say nothing are not let in beyond the limit,
// do not disturb who is, and cost little.
func TestManyConnections(t *testing.T) {
	s := newSite(t)
	d := s.start(s.config(s.listen()))
	r := s.dial(s.endpoint())
	before := heap()
	var open []net.Conn
	defer func() {
		for _, c := range open {
			c.Close()
		}
	}()
	refused := 0
	for range 10_000 {
		c, err := net.Dial("unix", s.path("s"))
		if err != nil {
			refused++ // the backlog is full
			continue
		}
		open = append(open, c)
		if len(open) > 2*connectionsOfOne { // those before are closed by the daemon
			open[0].Close()
			open = open[1:]
		}
	}
	l := d.servers[0].listener.(*limitListener)
	l.mu.Lock()
	all := l.all
	l.mu.Unlock()
	if all > connectionsOfOne {
		t.Errorf("%d connections are counted, want %d at most", all, connectionsOfOne)
	}
	if _, err := r.List(&atom.EngineListRequest{Context: within(t)}); err != nil {
		t.Errorf("who was there already: %v", err)
	}
	if grown := int64(heap()) - int64(before); grown > 200<<20 {
		t.Errorf("the daemon grew by %d MiB", grown>>20)
	}
	for _, c := range open {
		c.Close()
	}
	open = nil
	// What they held is given back.
	for ctx := within(t); ; {
		more, err := net.Dial("unix", s.path("s"))
		if err == nil {
			more.Close()
		}
		l.mu.Lock()
		all := l.all
		l.mu.Unlock()
		if all <= 2 {
			break
		}
		if ctx.Err() != nil {
			t.Fatalf("%d connections are counted yet", all)
		}
		time.Sleep(10 * time.Millisecond)
	}
	if _, err := s.dial(s.endpoint()).List(&atom.EngineListRequest{Context: within(t)}); err != nil {
		t.Errorf("who comes after: %v", err)
	}
}

// A client that never reads its stream costs a bounded amount, however much
// the job writes, and nobody else waits for it.
func TestReaderThatNeverReads(t *testing.T) {
	s := newSite(t)
	s.start(s.config(s.listen()))
	r := s.dial(s.endpoint())
	a := sh(t, r, "yes 0123456789012345678901234567890123456789 | head -c 67108864")
	if _, err := r.Wait(&atom.EngineWaitRequest{ID: a.ID(), Context: within(t)}); err != nil {
		t.Fatal(err)
	}
	before := heap()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for range 4 {
		logs, err := r.Logs(&atom.EngineLogsRequest{ID: a.ID(), Context: ctx})
		if err != nil {
			t.Fatal(err)
		}
		defer logs.Close()
	}
	logs, err := s.dial(s.endpoint()).Logs(&atom.EngineLogsRequest{ID: a.ID(), Context: within(t)})
	if err != nil {
		t.Fatal(err)
	}
	n, err := io.Copy(io.Discard, logs)
	if err != nil || n != 64<<20 {
		t.Errorf("another reader got %d bytes and %v, want %d", n, err, 64<<20)
	}
	if grown := int64(heap()) - int64(before); grown > 64<<20 {
		t.Errorf("client and daemon grew by %d MiB for four streams that nobody reads", grown>>20)
	}
	if err := r.Delete(&atom.EngineDeleteRequest{ID: a.ID(), Context: within(t)}); err != nil {
		t.Error(err)
	}
}

// heap is the memory that is held, of this process: client and daemon.
func heap() uint64 {
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
