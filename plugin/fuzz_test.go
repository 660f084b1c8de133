package plugin

import (
	"context"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/atom-router/atom-router/atom"
	pb "github.com/atom-router/atom-router/plugin/proto/atomrouter/engine/v1"
)

// mirror is an engine that answers with what it was asked, after it did with
// that what engines do with it.
type mirror struct{}

func (m mirror) atom(id, name string, labels map[string]string) atom.Atom {
	return atom.New(atom.Info{ID: id, Name: name, Labels: labels, State: atom.State(name), Result: atom.Result(name)}, m)
}

func (m mirror) Create(r *atom.EngineCreateRequest) (atom.Atom, error) {
	r.Hash()
	r.Needs()
	clone := r.Spec.Clone()
	r.Report(atom.Progress{Text: r.Image})
	if err := r.Validate(); err != nil {
		return nil, err
	}
	return m.atom(atom.NativeName(r.Owner, r.Key), r.Name, clone.Labels), nil
}

func (m mirror) Get(r *atom.EngineGetRequest) (atom.Atom, error) {
	return m.atom(r.ID, r.Owner, nil), atom.ValidateID(r.ID)
}

func (m mirror) Wait(r *atom.EngineWaitRequest) (atom.Atom, error) {
	return m.atom(r.ID, r.Owner, nil), atom.ValidateID(r.ID)
}

func (m mirror) Lookup(r *atom.EngineLookupRequest) (atom.Atom, error) {
	return m.atom(r.Key, r.Owner, nil), atom.ValidateKey(r.Key)
}

func (m mirror) Stop(r *atom.EngineStopRequest) error {
	if r.Timeout < 0 {
		return atom.Errorf(errdefs.ErrInvalidArgument, "%v", r.Timeout)
	}
	return atom.ValidateID(r.ID)
}

func (m mirror) Delete(r *atom.EngineDeleteRequest) error { return atom.ValidateOwner(r.Owner) }

func (m mirror) List(r *atom.EngineListRequest) ([]atom.Atom, error) {
	return []atom.Atom{m.atom(r.Owner, r.Since.String(), nil), m.atom("x", r.Before.String(), nil)}, nil
}

func (m mirror) Logs(r *atom.EngineLogsRequest) (io.ReadCloser, error) {
	text := strings.Repeat(r.Since.String()+string(r.Stream), min(max(r.Tail, 0), 10))
	return io.NopCloser(strings.NewReader(r.Cursor + text)), atom.ValidateID(r.ID)
}

func (m mirror) Probe(context.Context) (atom.Capabilities, error) { return nil, nil }

// incoming is a server's stream of one request, whose answers nobody reads.
type incoming struct {
	ctx     context.Context
	request []byte
}

func (s incoming) Context() context.Context     { return s.ctx }
func (s incoming) SetHeader(metadata.MD) error  { return nil }
func (s incoming) SendHeader(metadata.MD) error { return nil }
func (s incoming) SetTrailer(metadata.MD)       {}
func (s incoming) SendMsg(m any) error          { _, err := proto.Marshal(m.(proto.Message)); return err }
func (s incoming) RecvMsg(m any) error          { return decodeAny(s.request, m) }

func decodeAny(raw []byte, m any) error {
	if err := proto.Unmarshal(raw, m.(proto.Message)); err != nil {
		return status.Error(codes.Internal, err.Error()) // as grpc does
	}
	return nil
}

// FuzzServer gives the server any bytes as a message of any of its methods:
// each is answered or refused with a class of error, and none makes it panic.
func FuzzServer(f *testing.F) {
	service := &pb.Engine_ServiceDesc
	calls := len(service.Methods) + len(service.Streams)
	seed := func(n int, m proto.Message) {
		raw, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(uint8(n), raw)
	}
	for n := range calls {
		seed(n, &pb.GetRequest{Owner: "default", Id: "docker:3f9a"})
	}
	for n, m := range service.Methods {
		switch m.MethodName {
		case "Create":
			seed(n, &pb.CreateRequest{Owner: "o", Image: "busybox:1", Command: []string{"a", "b"}, Key: "k"})
		case "Configure":
			seed(n, &pb.ConfigureRequest{Config: []byte(`{"word": "x", "nested": [{"label": "a", "count": 1}]}`)})
		}
	}
	type nested struct {
		Label string `hcl:"label,label"`
		Count int    `hcl:"count"`
	}
	type config struct {
		Word   string            `hcl:"word,optional"`
		Tags   map[string]string `hcl:"tags,optional"`
		Nested []nested          `hcl:"nested,block"`
	}
	f.Fuzz(func(t *testing.T, method uint8, raw []byte) {
		a, err := newAuthor(Plugin[config]{Name: "fuzzed", New: func(context.Context, config, hclog.Logger) (atom.Engine, error) {
			return mirror{}, nil
		}}, hclog.NewNullLogger())
		if err != nil {
			t.Fatal(err)
		}
		defer a.close()
		n := int(method) % calls
		if n >= len(service.Methods) || service.Methods[n].MethodName != "Configure" {
			if _, err := a.Configure(t.Context(), &pb.ConfigureRequest{Config: []byte("{}")}); err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var answer any
		if n < len(service.Methods) {
			answer, err = service.Methods[n].Handler(a, ctx, func(m any) error { return decodeAny(raw, m) }, nil)
		} else {
			err = service.Streams[n-len(service.Methods)].Handler(a, incoming{ctx, raw})
		}
		switch s, _ := status.FromError(err); {
		case err == nil && n < len(service.Methods):
			if reflect.ValueOf(answer).IsNil() {
				t.Error("neither an answer nor an error")
			} else if _, err := proto.Marshal(answer.(proto.Message)); err != nil {
				t.Errorf("the answer cannot be sent: %v", err)
			}
		case err != nil && (s.Code() == codes.Unknown || strings.Contains(s.Message(), "panicked")):
			t.Errorf("%v", err)
		}
	})
}

var _ grpc.ServerStream = incoming{}
