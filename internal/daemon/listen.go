package daemon

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"

	"github.com/atom-router/atom-router/internal/wire"
	"github.com/atom-router/atom-router/plugin"
	"github.com/atom-router/atom-router/router"
	"github.com/atom-router/atom-router/router/config"
)

const (
	// handshakeTimeout is for a client to get as far as its first call could.
	handshakeTimeout = 10 * time.Second
	// maxHeaders is what a call may carry beside its message.
	maxHeaders = 64 << 10
)

// DefaultSocket is where a daemon listens whose config does not say.
func DefaultSocket() (string, error) {
	if dir := os.Getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "atom-router", "engine.sock"), nil
	}
	if os.Geteuid() == 0 {
		return "/run/atom-router/engine.sock", nil
	}
	return "", fmt.Errorf("there is no $XDG_RUNTIME_DIR for the daemon's socket; say where it is to be: listen \"unix\" { path = \"…\" }")
}

// server is one listener and what serves there.
type server struct {
	at       config.Listen
	listener net.Listener
	grpc     *grpc.Server
}

// open listens as l says, at a listener that there is already if it is not nil.
func open(l config.Listen, listener net.Listener, g *gate, health grpc_health_v1.HealthServer, log hclog.Logger, further ...grpc.ServerOption) (*server, error) {
	var creds credentials.TransportCredentials = userCredentials{}
	var err error
	if l.Path != "" {
		if listener == nil {
			listener, err = listenUnix(l.Path)
		}
	} else {
		var certs *certificates
		if certs, err = newCertificates(l, log); err != nil {
			if listener != nil {
				_ = listener.Close()
			}
			return nil, fmt.Errorf("listen at %s: %w", l, err)
		}
		creds = credentials.NewTLS(certs.config())
		if listener == nil {
			if listener, err = net.Listen("tcp", l.Address); err != nil {
				err = fmt.Errorf("listen at %s: %w", l, rootOf(err))
			}
		}
	}
	if err != nil {
		return nil, err
	}
	return serverOf(l, listener, creds, g, health, log, further...), nil
}

func serverOf(l config.Listen, listener net.Listener, creds credentials.TransportCredentials, g *gate, health grpc_health_v1.HealthServer, log hclog.Logger, further ...grpc.ServerOption) *server {
	s := grpc.NewServer(slices.Concat(wire.ServerOptions(), []grpc.ServerOption{
		grpc.Creds(creds), grpc.InTapHandle(g.tap),
		grpc.UnaryInterceptor(g.unary), grpc.StreamInterceptor(g.stream),
		grpc.MaxHeaderListSize(maxHeaders), grpc.ConnectionTimeout(handshakeTimeout),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: 30 * time.Second, Timeout: 10 * time.Second}),
	}, further)...)
	plugin.RegisterEngine(s, g, log)
	router.RegisterControl(s, g)
	grpc_health_v1.RegisterHealthServer(s, health)
	reflection.Register(s)
	return &server{at: l, listener: newLimitListener(listener, log), grpc: s}
}

// stop ends the server: what has been answered goes out, the rest is cut off.
func (s *server) stop(within time.Duration) {
	t := time.AfterFunc(within, s.grpc.Stop)
	defer t.Stop()
	s.grpc.GracefulStop()
}
