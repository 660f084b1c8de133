package daemon

import (
	"errors"
	"io"
	"math"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/atom-router/atom-router/plugin/proto/atomrouter/engine/v1"
	routerpb "github.com/atom-router/atom-router/plugin/proto/atomrouter/router/v1"
)

// Whatever a client sends is answered, by no panic and by nothing made.
func TestMalformedMessages(t *testing.T) {
	s := newSite(t)
	s.start(s.config(s.listen(), `audit_log = "audit"`))
	conn, err := grpc.NewClient(s.endpoint().Address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	engine, control, ctx := pb.NewEngineClient(conn), routerpb.NewRouterClient(conn), within(t)
	const most = math.MaxInt64
	never := &timestamppb.Timestamp{Seconds: most, Nanos: -1}
	long := &durationpb.Duration{Seconds: most, Nanos: math.MaxInt32}
	huge := strings.Repeat("x", 1<<20)
	creates := []*pb.CreateRequest{
		{}, {Spec: &pb.Spec{}}, {FreshKey: true}, {FreshKey: true, AskedAgain: true, Key: "\x00"},
		{Image: huge, Name: huge, Key: huge, Owner: huge},
		{Image: "i", Spec: &pb.Spec{Mounts: []*pb.Mount{{}, {Type: "\x00"}}, StopTimeout: long, PullPolicy: "?", Resources: &pb.Resources{Cpu: math.NaN(), Memory: -most, Gpus: -1}}},
		{Image: "i", Spec: &pb.Spec{Env: map[string]string{"": huge, "A=B": "\x00"}, Labels: map[string]string{"": "", "cloud.caesium": "x"}, Resources: &pb.Resources{Cpu: math.Inf(1), Memory: most, Gpus: most}}},
	}
	check := func(what string, err error) {
		t.Helper()
		switch status.Code(err) {
		case codes.InvalidArgument, codes.NotFound, codes.Unimplemented, codes.PermissionDenied:
		default:
			t.Errorf("%s: got error %.300v", what, err)
		}
	}
	for n, r := range creates {
		_, err := engine.Create(ctx, r)
		check("create", err)
		stream, err := engine.CreateWithProgress(ctx, r)
		if err == nil {
			_, err = stream.Recv()
		}
		check("create with progress", err)
		if _, err := control.Explain(ctx, &routerpb.ExplainRequest{Create: r}); n != 1 && n != 2 {
			check("explain", err)
		}
	}
	_, err = control.Explain(ctx, &routerpb.ExplainRequest{})
	check("explain nothing", err)
	_, err = control.Backends(ctx, &routerpb.BackendsRequest{Names: []string{"", huge}})
	check("backends", err)
	for _, id := range []string{"", ":", "host:", "host:" + huge, huge + ":x", "host:../../etc", "host:\x00"} {
		_, err = engine.Get(ctx, &pb.GetRequest{Id: id})
		check("get", err)
		_, err = engine.Wait(ctx, &pb.WaitRequest{Id: id})
		check("wait", err)
		_, err = engine.Stop(ctx, &pb.StopRequest{Id: id, Timeout: long})
		check("stop", err)
		_, err = engine.Delete(ctx, &pb.DeleteRequest{Id: id, Owner: "\x00"})
		check("delete", err)
		stream, err := engine.Logs(ctx, &pb.LogsRequest{Id: id, Since: never, Tail: -most, Stream: 77, Cursor: huge})
		if err == nil {
			_, err = stream.Recv()
		}
		check("logs", err)
	}
	_, err = engine.Lookup(ctx, &pb.LookupRequest{})
	check("lookup", err)
	lists := map[string]func() error{
		"list": func() error {
			stream, err := engine.List(ctx, &pb.ListRequest{Since: never, Before: never})
			if err == nil {
				_, err = stream.Recv()
			}
			return err
		},
		"list of a backend": func() error {
			stream, err := control.List(ctx, &routerpb.ListRequest{List: &pb.ListRequest{Since: never}, Backends: []string{"host"}})
			if err == nil {
				_, err = stream.Recv()
			}
			return err
		},
		"list of nothing": func() error {
			stream, err := control.List(ctx, &routerpb.ListRequest{})
			if err == nil {
				_, err = stream.Recv()
			}
			return err
		},
	}
	for what, list := range lists {
		if err := list(); !errors.Is(err, io.EOF) && status.Code(err) != codes.InvalidArgument {
			t.Errorf("%s: got error %.300v", what, err)
		}
	}
	_, err = engine.Describe(ctx, &pb.DescribeRequest{})
	check("describe", err)
	_, err = engine.Configure(ctx, &pb.ConfigureRequest{})
	check("configure", err)
}
