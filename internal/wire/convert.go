// Package wire converts between the contract and the messages of the protocol,
// both ways and errors too, for all that speaks it.
package wire

import (
	"strings"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/atom/container"
	pb "github.com/atom-router/atom-router/plugin/proto/atomrouter/engine/v1"
)

// The functions of this file convert between the contract and the wire, every
// field of it, and do nothing else. What the other side may not know becomes
// Invalid or Unknown.

var (
	stateToWire = map[atom.State]pb.State{
		atom.Created: pb.State_STATE_CREATED, atom.Running: pb.State_STATE_RUNNING,
		atom.Stopping: pb.State_STATE_STOPPING, atom.Stopped: pb.State_STATE_STOPPED,
		atom.Deleting: pb.State_STATE_DELETING, atom.Deleted: pb.State_STATE_DELETED,
		atom.Invalid: pb.State_STATE_INVALID,
	}
	stateFromWire = inverse(stateToWire)

	resultToWire = map[atom.Result]pb.Result{
		atom.Success: pb.Result_RESULT_SUCCESS, atom.Failure: pb.Result_RESULT_FAILURE,
		atom.StartupFailure: pb.Result_RESULT_STARTUP_FAILURE, atom.ResourceFailure: pb.Result_RESULT_RESOURCE_FAILURE,
		atom.Killed: pb.Result_RESULT_KILLED, atom.Terminated: pb.Result_RESULT_TERMINATED,
		atom.Unknown: pb.Result_RESULT_UNKNOWN,
	}
	resultFromWire = inverse(resultToWire)

	StreamToWire = map[atom.Stream]pb.Stream{
		atom.Stdout: pb.Stream_STREAM_STDOUT, atom.Stderr: pb.Stream_STREAM_STDERR,
	}
	StreamFromWire = inverse(StreamToWire)
)

func inverse[K, V comparable](m map[K]V) map[V]K {
	inv := make(map[V]K, len(m))
	for k, v := range m {
		inv[v] = k
	}
	return inv
}

// textToWire makes what a backend says fit for the wire, which takes UTF-8
// alone: one atom's odd message must not cost the whole list.
func textToWire(s string) string { return Text(s) }

// Text is s as the wire takes it.
func Text(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

func timeToWire(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

func timeFromWire(t *timestamppb.Timestamp) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.AsTime()
}

func durationToWire(d time.Duration) *durationpb.Duration {
	if d == 0 {
		return nil
	}
	return durationpb.New(d)
}

func AtomToWire(a atom.Atom) *pb.Atom {
	if a == nil {
		return nil
	}
	info := atom.InfoOf(a)
	w := &pb.Atom{
		Id: textToWire(info.ID), Name: textToWire(info.Name), Image: textToWire(info.Image), Labels: info.Labels, Rule: textToWire(info.Rule),
		State: stateToWire[info.State], Result: resultToWire[info.Result], Message: textToWire(info.Message),
		CreatedAt: timeToWire(info.CreatedAt), StartedAt: timeToWire(info.StartedAt), StoppedAt: timeToWire(info.StoppedAt),
	}
	for k, v := range info.Labels {
		if !utf8.ValidString(k) || !utf8.ValidString(v) {
			delete(w.Labels, k) // InfoOf's own copy
			w.Labels[textToWire(k)] = textToWire(v)
		}
	}
	if info.ExitCode != nil {
		code := int32(*info.ExitCode)
		w.ExitCode = &code
	}
	return w
}

func AtomFromWire(w *pb.Atom, engine atom.Engine) atom.Atom {
	info := atom.Info{
		ID: w.GetId(), Name: w.GetName(), Image: w.GetImage(), Labels: w.GetLabels(), Rule: w.GetRule(),
		State: stateFromWire[w.GetState()], Result: resultFromWire[w.GetResult()], Message: w.GetMessage(),
		CreatedAt: timeFromWire(w.GetCreatedAt()), StartedAt: timeFromWire(w.GetStartedAt()), StoppedAt: timeFromWire(w.GetStoppedAt()),
	}
	if w != nil && w.ExitCode != nil {
		code := int(*w.ExitCode)
		info.ExitCode = &code
	}
	return atom.New(info, engine)
}

func CreateToWire(r *atom.EngineCreateRequest) *pb.CreateRequest {
	return &pb.CreateRequest{
		Owner: r.Owner, Key: r.Key, Name: r.Name, Image: r.Image, Command: r.Command, Rule: r.Rule, Spec: specToWire(r.Spec), FreshKey: r.FreshKey, AskedAgain: r.AskedAgain,
	}
}

func CreateFromWire(w *pb.CreateRequest) *atom.EngineCreateRequest {
	return &atom.EngineCreateRequest{
		Owner: w.Owner, Key: w.Key, Name: w.Name, Image: w.Image, Command: w.Command, Rule: w.Rule, Spec: specFromWire(w.Spec), FreshKey: w.FreshKey, AskedAgain: w.AskedAgain,
	}
}

func ProgressToWire(p atom.Progress) *pb.Progress {
	return &pb.Progress{
		Backend: textToWire(p.Backend), Phase: textToWire(string(p.Phase)), Text: textToWire(p.Text), Done: p.Done, Total: p.Total,
	}
}

func ProgressFromWire(w *pb.Progress) atom.Progress {
	return atom.Progress{
		Backend: w.GetBackend(), Phase: atom.Phase(w.GetPhase()), Text: w.GetText(), Done: w.GetDone(), Total: w.GetTotal(),
	}
}

func specToWire(s container.Spec) *pb.Spec {
	w := &pb.Spec{
		Env: s.Env, Workdir: s.WorkDir, Entrypoint: s.Entrypoint, User: s.User, Labels: s.Labels,
		Resources:  &pb.Resources{Cpu: s.Resources.CPU, Memory: s.Resources.Memory, Gpus: int64(s.Resources.GPUs)},
		PullPolicy: string(s.PullPolicy), StopTimeout: durationToWire(s.StopTimeout),
	}
	for _, m := range s.Mounts {
		w.Mounts = append(w.Mounts, &pb.Mount{Type: string(m.Type), Source: m.Source, Target: m.Target, ReadOnly: m.ReadOnly})
	}
	return w
}

func specFromWire(w *pb.Spec) container.Spec {
	r := w.GetResources()
	s := container.Spec{
		Env: w.GetEnv(), WorkDir: w.GetWorkdir(), Entrypoint: w.GetEntrypoint(), User: w.GetUser(), Labels: w.GetLabels(),
		Resources:  container.Resources{CPU: r.GetCpu(), Memory: r.GetMemory(), GPUs: int(r.GetGpus())},
		PullPolicy: container.PullPolicy(w.GetPullPolicy()), StopTimeout: w.GetStopTimeout().AsDuration(),
	}
	for _, m := range w.GetMounts() {
		s.Mounts = append(s.Mounts, container.Mount{
			Type: container.MountType(m.GetType()), Source: m.GetSource(), Target: m.GetTarget(), ReadOnly: m.GetReadOnly(),
		})
	}
	return s
}

func StopToWire(r *atom.EngineStopRequest) *pb.StopRequest {
	return &pb.StopRequest{Owner: r.Owner, Id: r.ID, Force: r.Force, Timeout: durationToWire(r.Timeout)}
}

func StopFromWire(w *pb.StopRequest) *atom.EngineStopRequest {
	return &atom.EngineStopRequest{Owner: w.Owner, ID: w.Id, Force: w.Force, Timeout: w.Timeout.AsDuration()}
}

// ListToWire is the request of a List, or of a StreamList where any order will
// do.
func ListToWire(r *atom.EngineListRequest, anyOrder bool) *pb.ListRequest {
	return &pb.ListRequest{Owner: r.Owner, Since: timeToWire(r.Since), Before: timeToWire(r.Before), AnyOrder: anyOrder}
}

func ListFromWire(w *pb.ListRequest) (r *atom.EngineListRequest, anyOrder bool) {
	return &atom.EngineListRequest{Owner: w.Owner, Since: timeFromWire(w.Since), Before: timeFromWire(w.Before)}, w.AnyOrder
}

func LogsToWire(r *atom.EngineLogsRequest) *pb.LogsRequest {
	return &pb.LogsRequest{
		Owner: r.Owner, Id: r.ID, Since: timeToWire(r.Since), NoFollow: r.NoFollow, Tail: int64(r.Tail),
		Timestamps: r.Timestamps, Stream: StreamToWire[r.Stream], Cursor: r.Cursor,
	}
}

func LogsFromWire(w *pb.LogsRequest) *atom.EngineLogsRequest {
	return &atom.EngineLogsRequest{
		Owner: w.Owner, ID: w.Id, Since: timeFromWire(w.Since), NoFollow: w.NoFollow, Tail: int(w.Tail),
		Timestamps: w.Timestamps, Stream: StreamFromWire[w.Stream], Cursor: w.Cursor,
	}
}

func ChunkToWire(c atom.LogChunk) *pb.LogChunk {
	return &pb.LogChunk{Stream: StreamToWire[c.Stream], Time: timeToWire(c.Time), Data: c.Data, Cursor: c.Cursor}
}

func CapabilitiesToWire(cs atom.Capabilities) []string {
	var names []string
	for _, c := range cs {
		names = append(names, string(c))
	}
	return names
}

func CapabilitiesFromWire(names []string) atom.Capabilities {
	// Not nil: "none" is known here.
	cs := atom.Capabilities{}
	for _, n := range names {
		cs = append(cs, atom.Capability(n))
	}
	return cs
}
