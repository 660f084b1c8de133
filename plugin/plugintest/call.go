package plugintest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/atom/atomtest"
	pb "github.com/atom-router/atom-router/plugin/proto/atomrouter/engine/v1"
)

// noTime is an open bound of a list.
var noTime time.Time

// long is how long jobs sleep that must not end on their own.
const long = "300s"

// crowd is how many calls are under way at the same time: more than a pool of
// threads of a usual size.
const crowd = 64

func (c Candidate) callPromises() []atomtest.Promise {
	promises := []atomtest.Promise{
		{Name: "fields that it does not know are ignored", Check: c.with(func(ctx context.Context, p *process, e *atomtest.Env) error {
			return p.missing(ctx, e, 100)
		})},
		{Name: "a message of 60 MiB is taken", Check: c.with(func(ctx context.Context, p *process, e *atomtest.Env) error {
			return p.missing(ctx, e, 60<<20)
		})},
		{Name: "many waits and logs leave room for other calls", Check: c.with(func(ctx context.Context, p *process, e *atomtest.Env) error {
			a, err := e.StartReady(ctx, "print", "ready", ";", "sleep", long)
			if err != nil {
				return err
			}
			inner, cancel := context.WithCancel(ctx)
			var begun atomic.Int32
			calls := crowdOf(inner, e, a.ID(), &begun)
			defer calls.Wait()
			defer cancel() // before they are waited for
			underWay(ctx, &begun)
			return p.answers(ctx, e, a.ID(), fmt.Sprintf("under %d waits and logs", 2*crowd))
		})},
		{Name: "calls that were cancelled leave room for others", Check: c.with(func(ctx context.Context, p *process, e *atomtest.Env) error {
			a, err := e.StartReady(ctx, "print", "ready", ";", "sleep", long)
			if err != nil {
				return err
			}
			for range 2 {
				cancelled(ctx, e, a.ID())
			}
			return p.answers(ctx, e, a.ID(), fmt.Sprintf("after %d waits and logs that were cancelled", 4*crowd))
		})},
		{Name: "it serves on when its socket is gone from the disk", Check: c.with(func(ctx context.Context, p *process, e *atomtest.Env) error {
			if _, err := e.List(ctx, noTime, noTime); err != nil {
				return err
			}
			if err := os.Remove(p.socket); err != nil {
				return err
			}
			_, err := e.List(ctx, noTime, noTime)
			return err
		})},
		{Name: "a host that pings it every ten seconds is not turned away", Check: c.with(checkPings)},
	}
	if runtime.GOOS == "linux" { // elsewhere nobody tells how many there are
		promises = append(promises, atomtest.Promise{Name: "calls that were cancelled leave no descriptor behind", Check: c.with(checkDescriptors)})
	}
	return promises
}

// missing asks for an atom that there is not, in a message that holds so many
// bytes of a field from a later version of the protocol.
func (p *process) missing(ctx context.Context, e *atomtest.Env, size int) error {
	r := &pb.GetRequest{Owner: e.Owner, Id: "there-is-no-such-atom"}
	field := protowire.AppendTag(nil, 1000, protowire.BytesType)
	r.ProtoReflect().SetUnknown(protowire.AppendBytes(field, bytes.Repeat([]byte("x"), size)))
	_, err := p.rpc.Get(ctx, r)
	if code := status.Code(err); code != codes.NotFound && code != codes.InvalidArgument {
		return fmt.Errorf("a get of an atom that there is not, with an unknown field of %d bytes: %s; want NotFound, as without the field", size, orNone(err))
	}
	return nil
}

// crowdOf begins many waits and logs of an atom, which end with ctx, and counts
// the logs that have given something.
func crowdOf(ctx context.Context, e *atomtest.Env, id string, begun *atomic.Int32) *sync.WaitGroup {
	var calls sync.WaitGroup
	for range crowd {
		calls.Go(func() { // ends with ctx, as the next
			_, _ = e.Engine.Wait(&atom.EngineWaitRequest{ID: id, Owner: e.Owner, Context: ctx})
		})
		calls.Go(func() {
			if logs, err := e.Engine.Logs(&atom.EngineLogsRequest{ID: id, Owner: e.Owner, Context: ctx}); err == nil {
				if _, err := logs.Read(make([]byte, 100)); err == nil {
					begun.Add(1)
					_, _ = logs.Read(make([]byte, 100)) // until ctx ends
				}
				_ = logs.Close()
			}
		})
	}
	return &calls
}

// underWay waits for calls of crowdOf to be under way. Where there is no room
// for all of them they never are; that is then seen by another call.
func underWay(ctx context.Context, begun *atomic.Int32) {
	_ = until(ctx, soon, "all logs", func() bool { return begun.Load() == crowd })
}

// cancelled makes many calls and cancels them under way.
func cancelled(ctx context.Context, e *atomtest.Env, id string) {
	inner, cancel := context.WithCancel(ctx)
	var begun atomic.Int32
	calls := crowdOf(inner, e, id, &begun)
	underWay(ctx, &begun)
	cancel()
	calls.Wait()
}

// answers says whether the plugin answers at once.
func (p *process) answers(ctx context.Context, e *atomtest.Env, id, when string) error {
	asking, cancel := context.WithTimeout(ctx, soon)
	defer cancel()
	_, err := e.Get(asking, id)
	if err != nil && asking.Err() != nil && ctx.Err() == nil {
		return fmt.Errorf("%s a get has no answer within %v", when, soon)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", when, err)
	}
	return nil
}

// checkDescriptors counts what the process has open before and after.
func checkDescriptors(ctx context.Context, p *process, e *atomtest.Env) error {
	a, err := e.StartReady(ctx, "print", "ready", ";", "sleep", long)
	if err != nil {
		return err
	}
	open := func() (int, error) {
		list, err := os.ReadDir(filepath.Join("/proc", fmt.Sprint(p.pid()), "fd"))
		return len(list), err
	}
	cancelled(ctx, e, a.ID()) // what is opened once and kept
	before, err := open()
	if err != nil {
		return err
	}
	for range 2 {
		cancelled(ctx, e, a.ID())
	}
	after := 0
	left := until(ctx, soon, "the end of the calls", func() bool {
		after, err = open()
		return err != nil || after < before+crowd/2
	})
	if err == nil && left != nil && ctx.Err() == nil {
		err = fmt.Errorf("%d cancelled calls made of %d descriptors %d", 4*crowd, before, after)
	}
	return errors.Join(err, ctx.Err())
}
