package plugin

import (
	"context"

	goplugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
)

// ProtocolMajor is the version of the protocol that both sides must share;
// ProtocolMinor counts what was added to it since:
//
//	1: CreateWithProgress
//	2: ListRequest.any_order
const (
	ProtocolMajor = 1
	ProtocolMinor = 2
)

// minorProgress is the first with CreateWithProgress.
const minorProgress = 1

// handshake tells a plugin that it was started by a router. It is no secret
// and no security.
func handshake() goplugin.HandshakeConfig {
	return goplugin.HandshakeConfig{MagicCookieKey: "ATOM_ROUTER_PLUGIN", MagicCookieValue: "engine"}
}

// engineName is the one plugin in go-plugin's sense that a process serves.
const engineName = "engine"

// versions offers what plug has at each protocol version that this release
// speaks.
func versions(plug goplugin.Plugin) map[int]goplugin.PluginSet {
	return map[int]goplugin.PluginSet{ProtocolMajor: {engineName: plug}}
}

// connection is the host's plug: the bare connection, for our own client.
type connection struct {
	goplugin.NetRPCUnsupportedPlugin
}

func (connection) GRPCClient(_ context.Context, _ *goplugin.GRPCBroker, conn *grpc.ClientConn) (any, error) {
	return conn, nil
}

func (connection) GRPCServer(*goplugin.GRPCBroker, *grpc.Server) error { return nil }

// registrar is the plugin's plug: it registers the service.
type registrar struct {
	goplugin.NetRPCUnsupportedPlugin
	register func(grpc.ServiceRegistrar)
}

func (r registrar) GRPCServer(_ *goplugin.GRPCBroker, s *grpc.Server) error {
	r.register(s)
	return nil
}

func (registrar) GRPCClient(context.Context, *goplugin.GRPCBroker, *grpc.ClientConn) (any, error) {
	return nil, nil
}
