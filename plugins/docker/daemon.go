package docker

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api"
	"github.com/docker/docker/api/types/versions"
	"github.com/docker/docker/client"

	"github.com/atom-router/atom-router/atom"
)

// oldestAPI is the oldest version of the Docker API that this engine speaks.
const oldestAPI = "1.41"

// daemon is the connection to one Docker daemon, which need not be there. The
// API's version is agreed on at the first call, and again after the daemon
// was away: another one may have come back.
type daemon struct {
	endpoint  endpoint
	transport *http.Transport
	api       atomic.Pointer[client.Client]
	podman    atomic.Bool // of the daemon that api was agreed on with
}

func newDaemon(ep endpoint) *daemon {
	transport := &http.Transport{
		TLSClientConfig:     ep.tls,
		DisableCompression:  true,
		MaxIdleConns:        32,
		MaxIdleConnsPerHost: 32,
		IdleConnTimeout:     30 * time.Second,
		TLSHandshakeTimeout: 10 * time.Second,
		ReadBufferSize:      64 << 10, // log streams are read in such pieces
	}
	dialer := &net.Dialer{Timeout: 10 * time.Second}
	transport.DialContext = dialer.DialContext
	if path, ok := strings.CutPrefix(ep.host, "unix://"); ok {
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "unix", path)
		}
	} else {
		transport.Proxy = http.ProxyFromEnvironment
	}
	return &daemon{endpoint: ep, transport: transport}
}

// connect returns a client that speaks the version agreed on. Its error is
// classified.
func (d *daemon) connect(ctx context.Context) (*client.Client, error) {
	if c := d.api.Load(); c != nil {
		return c, nil
	}
	probe, err := d.newClient(oldestAPI)
	if err != nil {
		return nil, err
	}
	// Ping uses no version. Callers who come at the same time each ping, and
	// agree on the same.
	ping, err := probe.Ping(ctx)
	if err != nil {
		return nil, d.fault(ctx, err)
	}
	version := api.DefaultVersion
	if ping.APIVersion != "" && versions.LessThan(ping.APIVersion, version) {
		version = ping.APIVersion
	}
	if versions.LessThan(version, oldestAPI) {
		return nil, atom.Errorf(errdefs.ErrFailedPrecondition, "the daemon at %s speaks API %s; at least %s is needed", d.endpoint.host, version, oldestAPI)
	}
	c, err := d.newClient(version)
	if err != nil {
		return nil, err
	}
	// What does not tell what it is made of is no Podman.
	made, err := c.ServerVersion(ctx)
	if err != nil && (ctx.Err() != nil || isConnectionError(err)) {
		return nil, d.fault(ctx, err)
	}
	d.podman.Store(isPodman(made))
	d.api.Store(c)
	return c, nil
}

func (d *daemon) newClient(version string) (*client.Client, error) {
	scheme := "http"
	if d.endpoint.tls != nil {
		scheme = "https"
	}
	// WithHost would reconfigure the transport; ours replaces the one it
	// worked on. There is no overall timeout: calls end with their context.
	c, err := client.NewClientWithOpts(
		client.WithHost(d.endpoint.host),
		client.WithHTTPClient(&http.Client{Transport: d.transport, CheckRedirect: client.CheckRedirect}),
		client.WithScheme(scheme),
		client.WithVersion(version),
		client.WithUserAgent("atom-router"),
	)
	if err != nil {
		return nil, atom.Errorf(errdefs.ErrInvalidArgument, "host %s: %v", d.endpoint.host, err)
	}
	return c, nil
}

// close lets go of idle connections. Calls in progress end with their
// contexts.
func (d *daemon) close() { d.transport.CloseIdleConnections() }

// fault gives err, which a call of the client returned, its class and says
// which daemon did not answer. An error of the caller's context stays as it
// is.
func (d *daemon) fault(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return endOf(ctx)
	}
	if isConnectionError(err) {
		d.api.Store(nil)
		return atom.Errorf(errdefs.ErrUnavailable, "no Docker daemon answers at %s: %w", d.endpoint.host, plain(err))
	}
	text := daemonText(err)
	if strings.Contains(text, "client version") && strings.Contains(text, "too ") {
		// The daemon was replaced by one of another version.
		d.api.Store(nil)
		return atom.Errorf(errdefs.ErrUnavailable, "the Docker daemon at %s was exchanged for another version: %s", d.endpoint.host, text)
	}
	return atom.Errorf(classOf(err, text), "%s", text)
}

// daemonText is the daemon's own message, without the client's prefix.
func daemonText(err error) string {
	return strings.TrimPrefix(err.Error(), "Error response from daemon: ")
}

func classOf(err error, text string) error {
	switch {
	case isGone(err):
		return errdefs.ErrNotFound
	case errdefs.IsConflict(err), errdefs.IsFailedPrecondition(err):
		return errdefs.ErrFailedPrecondition
	case errdefs.IsUnauthorized(err), errdefs.IsPermissionDenied(err):
		return errdefs.ErrPermissionDenied
	case isExhausted(text):
		return errdefs.ErrResourceExhausted
	case errdefs.IsInvalidArgument(err):
		return errdefs.ErrInvalidArgument
	case errdefs.IsUnavailable(err):
		return errdefs.ErrUnavailable
	case errdefs.IsNotImplemented(err):
		return errdefs.ErrNotImplemented
	}
	return errdefs.ErrInternal
}

// isExhausted reports the daemon's ways of saying that the machine is full;
// it has no status code for it.
func isExhausted(text string) bool {
	for _, words := range []string{"no space left on device", "cannot allocate memory", "no available IPv4 addresses", "too many open files", "disk quota exceeded"} {
		if strings.Contains(text, words) {
			return true
		}
	}
	return false
}

// isConnectionError reports that the daemon was not reached, or that the
// connection to it broke.
func isConnectionError(err error) bool {
	var netErr net.Error
	return client.IsErrConnectionFailed(err) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.As(err, &netErr)
}

// plain shortens the client's sentences about a daemon that is away: the
// address is said already.
func plain(err error) error {
	text := err.Error()
	if strings.HasPrefix(text, "Cannot connect to the Docker daemon") {
		return errors.New("connection refused, or no such socket")
	}
	if i := strings.LastIndex(text, `": `); i >= 0 && strings.HasPrefix(text, "error during connect") {
		return errors.New(text[i+3:])
	}
	return err
}
