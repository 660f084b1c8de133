package wire

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/internal/wire/wiretest"
	pb "github.com/atom-router/atom-router/plugin/proto/atomrouter/engine/v1"
)

// TestEveryFieldTravels fills every field of every type that has a conversion,
// and compares after the round trip: a field that somebody adds and forgets
// here turns it red.
func TestEveryFieldTravels(t *testing.T) {
	check := func(name string, sent, got any) {
		t.Helper()
		if diff := cmp.Diff(sent, got); diff != "" {
			t.Errorf("%s lost something on the wire (-sent +got):\n%s", name, diff)
		}
	}
	create := wiretest.Filled[atom.EngineCreateRequest](t)
	check("create", create, *CreateFromWire(wiretest.Again(t, CreateToWire(&create))))
	stop := wiretest.Filled[atom.EngineStopRequest](t)
	check("stop", stop, *StopFromWire(wiretest.Again(t, StopToWire(&stop))))
	list := wiretest.Filled[atom.EngineListRequest](t)
	listed, _ := ListFromWire(wiretest.Again(t, ListToWire(&list, false)))
	check("list", list, *listed)
	logs := wiretest.Filled[atom.EngineLogsRequest](t)
	check("logs", logs, *LogsFromWire(wiretest.Again(t, LogsToWire(&logs))))
	chunk := wiretest.Filled[atom.LogChunk](t)
	check("chunk", chunk, received(t, &pb.LogsResponse{Chunks: []*pb.LogChunk{ChunkToWire(chunk)}})[0])
	progress := wiretest.Filled[atom.Progress](t)
	check("progress", progress, ProgressFromWire(wiretest.Again(t, ProgressToWire(progress))))
	info := wiretest.Filled[atom.Info](t)
	check("atom", info, atom.InfoOf(AtomFromWire(wiretest.Again(t, AtomToWire(atom.New(info, nil))), nil)))
}

// TestEveryWireFieldIsUsed fills every field of the messages instead: one that
// no conversion reads is lost on the way back.
func TestEveryWireFieldIsUsed(t *testing.T) {
	check := func(sent, got proto.Message) {
		t.Helper()
		if !proto.Equal(sent, got) {
			t.Errorf("%s: sent %v, got %v", sent.ProtoReflect().Descriptor().Name(), sent, got)
		}
	}
	create := wiretest.FilledMessage(&pb.CreateRequest{})
	check(create, CreateToWire(CreateFromWire(create)))
	stop := wiretest.FilledMessage(&pb.StopRequest{})
	check(stop, StopToWire(StopFromWire(stop)))
	list := wiretest.FilledMessage(&pb.ListRequest{})
	check(list, ListToWire(ListFromWire(list)))
	logs := wiretest.FilledMessage(&pb.LogsRequest{})
	check(logs, LogsToWire(LogsFromWire(logs)))
	chunk := wiretest.FilledMessage(&pb.LogChunk{})
	check(chunk, ChunkToWire(received(t, &pb.LogsResponse{Chunks: []*pb.LogChunk{chunk}})[0]))
	progress := wiretest.FilledMessage(&pb.Progress{})
	check(progress, ProgressToWire(ProgressFromWire(progress)))
	a := wiretest.FilledMessage(&pb.Atom{})
	check(a, AtomToWire(AtomFromWire(a, nil)))
}

func TestUnknownEnumValues(t *testing.T) {
	a := AtomFromWire(&pb.Atom{Id: "x", State: 99, Result: 99}, nil)
	if a.State() != atom.Invalid || a.Result() != atom.Unknown {
		t.Errorf("unknown values became %s and %s", a.State(), a.Result())
	}
	if got := received(t, &pb.LogsResponse{Chunks: []*pb.LogChunk{{Stream: 99}}})[0].Stream; got != "" {
		t.Errorf("an unknown stream became %q", got)
	}
	for _, s := range []atom.State{atom.Created, atom.Running, atom.Stopping, atom.Stopped, atom.Deleting, atom.Deleted, atom.Invalid} {
		if got := stateFromWire[stateToWire[s]]; got != s {
			t.Errorf("state %s became %q", s, got)
		}
	}
	for _, r := range []atom.Result{atom.Success, atom.Failure, atom.StartupFailure, atom.ResourceFailure, atom.Killed, atom.Terminated, atom.Unknown} {
		if got := resultFromWire[resultToWire[r]]; got != r {
			t.Errorf("result %s became %q", r, got)
		}
	}
}
