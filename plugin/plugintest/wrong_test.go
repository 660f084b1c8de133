package plugintest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/atom/atomtest/memengine"
	"github.com/atom-router/atom-router/plugin"
	pb "github.com/atom-router/atom-router/plugin/proto/atomrouter/engine/v1"
)

// wrongs are what a plugin by hand does wrong; without any it is right.
type wrongs map[string]bool

// byHand is a plugin that is made without plugin.Serve, from the protocol
// alone, as others are in other languages.
type byHand struct {
	pb.EngineServer // that of an engine in memory
	wrong           wrongs
	socket          string
	configured      chan struct{} // closed when it is
	once            sync.Once
	refused         bool
	slots           chan struct{}
	leaked          []*os.File
}

func serveByHand() {
	w := wrongs{}
	for _, name := range os.Args[1:] {
		w[name] = true
	}
	if os.Getenv("ATOM_ROUTER_PLUGIN") != "engine" && !w["served by hand"] {
		fmt.Fprintln(os.Stderr, "this is a plugin")
		os.Exit(1)
	}
	if err := (&byHand{wrong: w, configured: make(chan struct{}), slots: make(chan struct{}, 32)}).serve(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func (b *byHand) serve() error {
	dir := os.Getenv("PLUGIN_UNIX_SOCKET_DIR")
	if b.wrong["socket elsewhere"] {
		dir = os.TempDir()
	}
	b.socket = filepath.Join(dir, fmt.Sprint(os.Getpid()))
	listener, err := net.Listen("unix", b.socket)
	if err != nil {
		return err
	}
	own, err := newIdentity()
	if err != nil {
		return err
	}
	hosts := x509.NewCertPool()
	hosts.AppendCertsFromPEM([]byte(os.Getenv("PLUGIN_CLIENT_CERT")))
	secure := &tls.Config{Certificates: []tls.Certificate{own.certificate}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: hosts}
	if b.wrong["strangers welcome"] {
		secure.ClientAuth = tls.NoClientCert
	}
	options := []grpc.ServerOption{grpc.Creds(credentials.NewTLS(secure)), grpc.UnaryInterceptor(b.unary), grpc.StreamInterceptor(b.stream)}
	if !b.wrong["small messages"] {
		options = append(options, grpc.MaxRecvMsgSize(plugin.MaxMessageBytes))
	}
	if !b.wrong["few pings"] {
		options = append(options, grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true}))
	}
	s := grpc.NewServer(options...)
	plugin.RegisterEngine(b, memengine.New(b.capabilities()...), nil) // gives b its engine
	pb.RegisterEngineServer(s, b)
	well := health.NewServer()
	if !b.wrong["unwell"] {
		well.SetServingStatus("plugin", grpc_health_v1.HealthCheckResponse_SERVING)
	}
	grpc_health_v1.RegisterHealthServer(s, well)
	b.signals()
	version := "1"
	if b.wrong["another version"] && strings.Contains(os.Getenv("PLUGIN_PROTOCOL_VERSIONS"), "998") {
		version = "998"
	}
	fmt.Printf("1|%s|unix|%s|grpc|%s\n", version, b.socket, base64.RawStdEncoding.EncodeToString(own.certificate.Certificate[0]))
	return s.Serve(listener)
}

// signals has the process live as long as its stdin.
func (b *byHand) signals() {
	if !b.wrong["SIGTERM ends it"] {
		signal.Notify(make(chan os.Signal, 1), syscall.SIGTERM)
	}
	signal.Notify(make(chan os.Signal, 1), syscall.SIGINT)
	if b.wrong["SIGCONT ends it"] {
		awake := make(chan os.Signal, 1)
		signal.Notify(awake, syscall.SIGCONT)
		go func() { <-awake; os.Exit(0) }() // ends with the process, as the next
	}
	if b.wrong["children left"] {
		_ = exec.Command("sleep", "60").Start()
	}
	if !b.wrong["stdin ignored"] {
		go func() { io.Copy(io.Discard, os.Stdin); os.Exit(0) }()
	}
}

func (b *byHand) capabilities() atom.Capabilities {
	caps := atom.Capabilities{atom.CapDelete, atom.CapLogStreams, atom.CapLookup}
	if b.wrong["atoms in memory"] {
		caps = append(caps, atom.CapDurable)
	}
	return caps
}

// RegisterService implements grpc.ServiceRegistrar.
func (b *byHand) RegisterService(_ *grpc.ServiceDesc, impl any) {
	b.EngineServer = impl.(pb.EngineServer)
}

func (b *byHand) Describe(context.Context, *pb.DescribeRequest) (*pb.DescribeResponse, error) {
	d := &pb.DescribeResponse{Name: "byhand", Version: "1", Schema: &pb.Schema{Attributes: []*pb.Attribute{
		{Name: "word", Type: `"string"`}, {Name: "words", Type: `["list","string"]`},
	}}}
	for _, c := range b.capabilities() {
		d.Capabilities = append(d.Capabilities, string(c))
	}
	if b.wrong["a type that is none"] {
		d.Schema.Attributes = append(d.Schema.Attributes, &pb.Attribute{Name: "odd", Type: "text"})
	}
	return d, nil
}

func (b *byHand) Probe(context.Context, *pb.ProbeRequest) (*pb.ProbeResponse, error) {
	r := &pb.ProbeResponse{}
	for _, c := range b.capabilities() {
		r.Capabilities = append(r.Capabilities, string(c))
	}
	if b.wrong["more than described"] {
		r.Capabilities = append(r.Capabilities, "gpus")
	}
	return r, nil
}

func (b *byHand) Configure(_ context.Context, r *pb.ConfigureRequest) (*pb.ConfigureResponse, error) {
	var config map[string]json.RawMessage
	if err := json.Unmarshal(r.Config, &config); err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	if b.refused && b.wrong["one config alone"] {
		return nil, status.Error(codes.FailedPrecondition, "it had its chance")
	}
	for name, value := range config {
		known := name == "word" && value[0] == '"' || name == "words" && value[0] == '['
		if known || b.wrong["any config"] {
			continue
		}
		b.refused = true
		refusal, err := status.New(codes.InvalidArgument, name+" is wrong").WithDetails(&pb.ErrorDetail{Fields: []*pb.FieldError{{Field: name, Reason: "is wrong"}}})
		if err != nil {
			return nil, err
		}
		return nil, refusal.Err()
	}
	b.once.Do(func() { close(b.configured) })
	return &pb.ConfigureResponse{}, nil
}

func (b *byHand) List(r *pb.ListRequest, s grpc.ServerStreamingServer[pb.ListResponse]) error {
	if b.wrong["everything twice"] {
		if err := b.EngineServer.List(r, s); err != nil {
			return err
		}
	}
	return b.EngineServer.List(r, s)
}

// admit says whether a call may be made now, and does what is wrong with it.
func (b *byHand) admit(ctx context.Context, method string, request any) error {
	_, call, _ := strings.Cut(strings.TrimPrefix(method, "/"), "/")
	if call == "Describe" || call == "Configure" || call == "Check" {
		return nil
	}
	select {
	case <-b.configured:
	default:
		if !b.wrong["serves at once"] {
			return status.Error(codes.FailedPrecondition, "not configured")
		}
	}
	if m, ok := request.(proto.Message); ok && b.wrong["unknown fields refused"] && len(m.ProtoReflect().GetUnknown()) > 0 {
		return status.Error(codes.Internal, "what is that")
	}
	if _, err := os.Stat(b.socket); err != nil && b.wrong["socket needed"] {
		return status.Error(codes.Unavailable, "no socket")
	}
	if b.wrong["few threads"] {
		select {
		case b.slots <- struct{}{}:
		case <-ctx.Done():
			return status.FromContextError(ctx.Err()).Err()
		}
		if call == "Wait" || call == "Logs" { // these never give theirs back
			return nil
		}
		<-b.slots
	}
	if b.wrong["descriptors leaked"] && call == "Logs" {
		f, _ := os.Open(os.DevNull)
		b.leaked = append(b.leaked, f)
	}
	return nil
}

func (b *byHand) unary(ctx context.Context, r any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	if err := b.admit(ctx, info.FullMethod, r); err != nil {
		return nil, err
	}
	return handle(ctx, r)
}

func (b *byHand) stream(srv any, s grpc.ServerStream, info *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
	if err := b.admit(s.Context(), info.FullMethod, nil); err != nil {
		return err
	}
	return handle(srv, s)
}
