package plugin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/containerd/errdefs"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/internal/wire"
)

// Attachment is a connection to a plugin that somebody else started, with
// --debug. It has what a Process has, but for the process: closing it ends the
// connection and not the plugin. It lasts as long as the connection, and a
// plugin that was started again is attached again.
//
// Nothing on it has a deadline of its own, since a plugin that stands at a
// breakpoint does not answer and is well.
type Attachment struct {
	described
	conn     *grpc.ClientConn
	socket   string
	gone     chan struct{} // closed with the connection
	expected atomic.Bool   // Close was called
}

// Attach connects to the plugin that listens at a socket, and returns when it
// has described itself; Configure comes next. ctx bounds Attach alone. Errors
// are Unavailable where nobody answers there, and InvalidArgument where others
// than this user may enter the socket's directory, or where what answers does
// not speak this protocol. options are as LaunchOptions.DialOptions.
func Attach(ctx context.Context, socket string, options ...grpc.DialOption) (*Attachment, error) {
	fail := func(class, err error) (*Attachment, error) {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, atom.Errorf(class, "attaching to the plugin at %s: %w", socket, err)
	}
	if err := private(filepath.Dir(socket)); err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return fail(errdefs.ErrUnavailable, errors.New("there is no such socket; start the plugin with --debug"))
		}
		return fail(errdefs.ErrInvalidArgument, err)
	}
	raw, err := (&net.Dialer{}).DialContext(ctx, "unix", socket)
	if err != nil {
		return fail(errdefs.ErrUnavailable, fmt.Errorf("%w; start the plugin with --debug", err))
	}
	a := &Attachment{socket: socket, gone: make(chan struct{})}
	last := &lastConn{Conn: raw, gone: a.gone}
	a.conn, err = grpc.NewClient("passthrough:///"+filepath.Base(socket), slices.Concat(wire.DialOptions(), []grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(last.dial),
		// gRPC would give up on one that stands still after 20 s.
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: backoff.DefaultConfig, MinConnectTimeout: 24 * time.Hour}),
	}, options)...)
	if err != nil {
		last.Close()
		return fail(errdefs.ErrInternal, err)
	}
	if err := a.describe(ctx, NewClient(a.conn), ProtocolMajor); err != nil {
		a.Close()
		last.Close() // where gRPC had not taken it yet
		if errdefs.IsNotImplemented(err) {
			return fail(errdefs.ErrInvalidArgument, fmt.Errorf("it does not speak version %d of the plugin protocol; build it with this router's release", ProtocolMajor))
		}
		return fail(errdefs.ErrUnavailable, err)
	}
	return a, nil
}

// Ping is nil as long as the connection is there: a plugin that is being
// debugged may take any time to answer.
func (a *Attachment) Ping(context.Context) error {
	select {
	case <-a.gone:
		return a.lost()
	default:
		return nil
	}
}

// Done is closed when the connection has ended, whyever.
func (a *Attachment) Done() <-chan struct{} { return a.gone }

// Err says that the plugin is gone; nil as long as it is not, and after Close.
func (a *Attachment) Err() error {
	if a.expected.Load() {
		return nil
	}
	return a.Ping(context.Background())
}

func (a *Attachment) lost() error {
	return atom.Errorf(errdefs.ErrUnavailable, "the attached plugin at %s has gone", a.socket)
}

// Close ends the connection. It is idempotent.
func (a *Attachment) Close() error {
	if a.expected.Swap(true) {
		return nil
	}
	return a.conn.Close()
}

var _ io.Closer = (*Attachment)(nil)

// lastConn is a connection that gRPC gets once and cannot replace: what
// answers after it is another engine, and has no config.
type lastConn struct {
	net.Conn
	taken atomic.Bool
	once  sync.Once
	gone  chan struct{}
}

func (c *lastConn) dial(context.Context, string) (net.Conn, error) {
	if c.taken.Swap(true) {
		return nil, errors.New("the plugin has gone")
	}
	return c, nil
}

// Close implements net.Conn.
func (c *lastConn) Close() error {
	c.once.Do(func() { close(c.gone) })
	return c.Conn.Close()
}
