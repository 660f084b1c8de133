package router

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/internal/wire"
	"github.com/atom-router/atom-router/plugin"
	routerpb "github.com/atom-router/atom-router/plugin/proto/atomrouter/router/v1"
)

const (
	// daemonPatience is how long a daemon may be away before its backend has
	// failed, and Waits and Logs there end: an upgrade takes no longer.
	daemonPatience = time.Minute
	// What a daemon can do changes with its backends; this is how long its
	// last word is believed.
	daemonRenew = 10 * time.Second
)

// errNotServing is the answer of a daemon that is about to end.
var errNotServing = atom.Errorf(errdefs.ErrUnavailable, "the daemon is shutting down")

// remoteEngine is what a daemon serves at one connection.
type remoteEngine struct {
	*plugin.Client
	router routerpb.RouterClient
}

// dial connects to a daemon and makes an instance of the connection, which is
// gone with it: gRPC must not connect again by itself, or nobody would know
// that what was asked over the first one is lost.
func dial(ctx context.Context, e Endpoint, options []grpc.DialOption) (*instance, error) {
	raw, err := e.connect(ctx)
	if err != nil {
		return nil, err
	}
	only := &lossyConn{Conn: raw, lost: make(chan struct{})}
	given := make(chan *lossyConn, 1)
	given <- only
	conn, err := grpc.NewClient("passthrough:///daemon", slices.Concat(wire.DialOptions(), []grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()), // TLS, where it is, is in the connection
		grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) {
			select {
			case c := <-given:
				return c, nil
			default:
				return nil, errors.New("the connection to the daemon is lost")
			}
		}),
		grpc.WithDisableRetry(), grpc.WithDisableServiceConfig(),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 20 * time.Second, Timeout: 5 * time.Second, PermitWithoutStream: true}),
	}, options)...)
	if err != nil {
		return nil, errors.Join(err, closed(raw))
	}
	health := grpc_health_v1.NewHealthClient(conn)
	ping := func(ctx context.Context) error {
		resp, err := health.Check(ctx, &grpc_health_v1.HealthCheckRequest{})
		if err != nil {
			return wire.ErrorFromWire(ctx, err)
		}
		if resp.GetStatus() != grpc_health_v1.HealthCheckResponse_SERVING {
			return errNotServing
		}
		return nil
	}
	if err := ping(ctx); err != nil {
		if why := only.why(); why != nil && ctx.Err() == nil && !errors.Is(err, errNotServing) {
			err = why
		}
		_ = conn.Close()
		_ = raw.Close() // where gRPC never took it
		if ctx.Err() != nil {
			return nil, atom.Errorf(errdefs.ErrUnavailable, "the daemon at %s does not answer: %w", e.Address, ctx.Err())
		}
		return nil, atom.Errorf(errdefs.ErrUnavailable, "the daemon at %s: %w", e.Address, err)
	}
	i := newInstance(&remoteEngine{Client: plugin.NewClient(conn), router: routerpb.NewRouterClient(conn)})
	i.done, i.ping, i.renew = only.lost, ping, daemonRenew
	i.close = conn.Close
	i.why = func() error {
		return atom.Errorf(errdefs.ErrUnavailable, "the connection to the daemon at %s is lost: %w", e.Address, only.why())
	}
	return i, nil
}

// lossyConn is a connection that tells of its end.
type lossyConn struct {
	net.Conn
	once sync.Once
	lost chan struct{}
	err  error // set before lost is closed
}

func (c *lossyConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if err != nil {
		c.lose(err)
	}
	return n, err
}

func (c *lossyConn) Close() error {
	err := c.Conn.Close()
	c.lose(net.ErrClosed)
	return err
}

func (c *lossyConn) lose(err error) {
	c.once.Do(func() {
		c.err = rootOf(err)
		close(c.lost)
	})
}

// why is how the connection ended; nil while it has not.
func (c *lossyConn) why() error {
	select {
	case <-c.lost:
		return c.err
	default:
		return nil
	}
}
