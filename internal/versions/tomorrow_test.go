package versions

import (
	"context"
	"fmt"
	"os"

	goplugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/plugin"
	pb "github.com/atom-router/atom-router/plugin/proto/atomrouter/engine/v1"
)

// asTomorrow as the first argument makes this binary a plugin in front of the
// one that the second says. To both sides it is of a protocol's minor version
// that is to come: every message that it sends bears fields that nobody knows.
const asTomorrow = "as-tomorrow"

func serveTomorrow(path string) {
	ctx := context.Background()
	p, err := plugin.Launch(ctx, plugin.LaunchOptions{Path: path, Env: []string{"GORACE"}, DialOptions: []grpc.DialOption{
		grpc.WithChainUnaryInterceptor(func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
			return invoke(ctx, method, more(req), reply, cc, opts...)
		}),
		grpc.WithChainStreamInterceptor(func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
			s, err := open(ctx, desc, cc, method, opts...)
			return askingMore{s}, err
		}),
	}})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	defer p.Close()
	goplugin.Serve(&goplugin.ServeConfig{
		HandshakeConfig:  goplugin.HandshakeConfig{MagicCookieKey: "ATOM_ROUTER_PLUGIN", MagicCookieValue: "engine"},
		VersionedPlugins: map[int]goplugin.PluginSet{1: {"engine": &tomorrow{process: p}}},
		GRPCServer: func(opts []grpc.ServerOption) *grpc.Server {
			return grpc.NewServer(append(opts,
				grpc.ChainUnaryInterceptor(func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
					resp, err := handle(ctx, req)
					return more(resp), err
				}),
				grpc.ChainStreamInterceptor(func(srv any, s grpc.ServerStream, _ *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
					return handle(srv, sayingMore{s})
				}))...)
		},
	})
}

// tomorrow serves the engine of another plugin.
type tomorrow struct {
	goplugin.NetRPCUnsupportedPlugin
	pb.EngineServer
	process *plugin.Process
}

func (t *tomorrow) GRPCServer(_ *goplugin.GRPCBroker, s *grpc.Server) error {
	plugin.RegisterEngine(registrar(func(impl any) { t.EngineServer = impl.(pb.EngineServer) }), t.process.Engine(), nil)
	pb.RegisterEngineServer(s, t)
	return nil
}

func (t *tomorrow) GRPCClient(context.Context, *goplugin.GRPCBroker, *grpc.ClientConn) (any, error) {
	return nil, nil
}

// registrar takes a server instead of registering it.
type registrar func(impl any)

func (r registrar) RegisterService(_ *grpc.ServiceDesc, impl any) { r(impl) }

func (t *tomorrow) Describe(context.Context, *pb.DescribeRequest) (*pb.DescribeResponse, error) {
	d := t.process.Description()
	return &pb.DescribeResponse{
		Name: d.Name, Version: d.Version, ProtocolMinor: plugin.ProtocolMinor + 1,
		Capabilities: []string{string(atom.CapDelete), "something_new"},
		Schema:       &pb.Schema{Attributes: []*pb.Attribute{{Name: "word", Type: `"string"`}}},
	}, nil
}

func (t *tomorrow) Configure(ctx context.Context, r *pb.ConfigureRequest) (*pb.ConfigureResponse, error) {
	return &pb.ConfigureResponse{}, t.process.Configure(ctx, r.Config)
}

// askingMore and sayingMore are the two ends of a stream.
type (
	askingMore struct{ grpc.ClientStream }
	sayingMore struct{ grpc.ServerStream }
)

func (s askingMore) SendMsg(m any) error { return s.ClientStream.SendMsg(more(m)) }
func (s sayingMore) SendMsg(m any) error { return s.ServerStream.SendMsg(more(m)) }

// more is message m with fields that it has not, of each kind that there is on
// the wire, in it and in all messages in it.
func more(m any) any {
	message, ok := m.(proto.Message)
	if !ok || !message.ProtoReflect().IsValid() {
		return m
	}
	message = proto.Clone(message)
	add(message.ProtoReflect())
	return message
}

func add(m protoreflect.Message) {
	var b []byte
	b = protowire.AppendVarint(protowire.AppendTag(b, 1001, protowire.VarintType), 7)
	b = protowire.AppendFixed32(protowire.AppendTag(b, 1002, protowire.Fixed32Type), 7)
	b = protowire.AppendFixed64(protowire.AppendTag(b, 1003, protowire.Fixed64Type), 7)
	b = protowire.AppendBytes(protowire.AppendTag(b, 1004, protowire.BytesType), []byte("\xff more"))
	m.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		switch {
		case field.IsMap() || field.Message() == nil:
		case field.IsList():
			for i := range value.List().Len() {
				add(value.List().Get(i).Message())
			}
		default:
			add(value.Message())
		}
		return true
	})
	m.SetUnknown(append(m.GetUnknown(), b...))
}
