package router

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/containerd/errdefs"

	"github.com/atom-router/atom-router/atom"
)

// Endpoint is where a router's daemon listens, and how to show it who asks.
type Endpoint struct {
	// Address is unix:///PATH, or HOST:PORT, which takes TLS.
	Address string
	// TLS is for HOST:PORT and nil for a Unix socket, whose daemon knows who
	// asks from the system.
	TLS *ClientTLS
}

// ClientTLS names the files, PEM all of them, of a mutual TLS connection. They
// are read at each connection, so that renewed ones are taken up.
type ClientTLS struct {
	Cert string // the client's certificate chain
	Key  string
	CA   string // what the daemon's certificate is signed by; "" is the system's
	// ServerName is the name that the daemon's certificate is for; "" is the
	// host of the address.
	ServerName string
}

// Check says what is wrong with an endpoint: *atom.FieldErrors whose Field is
// "address" or one of "tls.cert", "tls.key". It reads no file.
func (e Endpoint) Check() error {
	network, address, err := e.split()
	if err != nil {
		return err
	}
	switch {
	case network == "unix" && e.TLS != nil:
		return &atom.FieldError{Field: "tls", Reason: "a Unix socket takes none: the system tells its daemon who asks"}
	case network == "unix":
		return nil
	case e.TLS == nil:
		return &atom.FieldError{Field: "tls", Reason: fmt.Sprintf("%s is asked over TLS alone, which needs a certificate and its key", address)}
	case e.TLS.Cert == "":
		return &atom.FieldError{Field: "tls.cert", Reason: "is required: the daemon knows by it who asks"}
	case e.TLS.Key == "":
		return &atom.FieldError{Field: "tls.key", Reason: "is required: the key of the certificate"}
	}
	return nil
}

// maxSocketPath is what a Unix socket's path may have in all systems
// (unix(7); 104 bytes with the NUL on the BSDs).
const maxSocketPath = 103

// split is the endpoint as net.Dial takes it.
func (e Endpoint) split() (network, address string, err error) {
	wrong := func(format string, args ...any) (string, string, error) {
		return "", "", &atom.FieldError{Field: "address", Reason: fmt.Sprintf(format, args...)}
	}
	if e.Address == "" {
		return wrong("is empty; write unix:///PATH or HOST:PORT")
	}
	if path, ok := strings.CutPrefix(e.Address, "unix:"); ok {
		path = "/" + strings.TrimLeft(path, "/")
		if !strings.HasPrefix(e.Address, "unix:/") || strings.HasPrefix(e.Address, "unix://") && !strings.HasPrefix(e.Address, "unix:///") {
			return wrong("%s: a socket's path is absolute: unix:///run/atom-router/engine.sock", quote(e.Address))
		}
		if len(path) > maxSocketPath {
			return wrong("%s: a socket's path has at most %d bytes", quote(e.Address), maxSocketPath)
		}
		return "unix", filepath.Clean(path), nil
	}
	if strings.Contains(e.Address, "/") {
		return wrong("%s is neither unix:///PATH nor HOST:PORT", quote(e.Address))
	}
	host, port, err := net.SplitHostPort(e.Address)
	if err != nil || host == "" || port == "" {
		return wrong("%s is neither unix:///PATH nor HOST:PORT", quote(e.Address))
	}
	return "tcp", e.Address, nil
}

// connect opens a connection, its TLS handshake included.
func (e Endpoint) connect(ctx context.Context) (net.Conn, error) {
	network, address, err := e.split()
	if err != nil {
		return nil, err
	}
	var config *tls.Config
	if network == "tcp" {
		if config, err = e.config(); err != nil {
			return nil, err
		}
	}
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return nil, atom.Errorf(errdefs.ErrUnavailable, "no daemon answers at %s: %w", e.Address, rootOf(err))
	}
	if config == nil {
		return conn, nil
	}
	secure := tls.Client(conn, config)
	if err := secure.HandshakeContext(ctx); err != nil {
		return nil, errors.Join(atom.Errorf(errdefs.ErrUnavailable, "no TLS with the daemon at %s: %w", e.Address, err), closed(conn))
	}
	// In TLS 1.3 the daemon's word on the client's certificate comes with the
	// first that it sends, which it does unasked: the settings of HTTP/2
	// (RFC 9113, section 3.4).
	first := make([]byte, 1)
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	n, err := secure.Read(first)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return nil, errors.Join(atom.Errorf(errdefs.ErrUnavailable, "no TLS with the daemon at %s: %w", e.Address, rootOf(err)), closed(conn))
	}
	return &begunConn{Conn: secure, first: first[:n]}, nil
}

// begunConn is a connection of which something was read already.
type begunConn struct {
	net.Conn
	first []byte
}

func (c *begunConn) Read(p []byte) (int, error) {
	if len(c.first) > 0 {
		n := copy(p, c.first)
		c.first = c.first[n:]
		return n, nil
	}
	return c.Conn.Read(p)
}

// closed closes what is no longer needed; nobody asks how that went.
func closed(c net.Conn) error {
	_ = c.Close()
	return nil
}

// rootOf leaves out what the error's user knows: that it was dialled, and
// where.
func rootOf(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err
	}
	return err
}

func (e Endpoint) config() (*tls.Config, error) {
	if err := e.Check(); err != nil {
		return nil, err
	}
	pair, err := tls.LoadX509KeyPair(e.TLS.Cert, e.TLS.Key)
	if err != nil {
		return nil, atom.Errorf(errdefs.ErrInvalidArgument, "the client's certificate %s: %w", e.TLS.Cert, err)
	}
	config := &tls.Config{
		MinVersion: tls.VersionTLS13, NextProtos: []string{"h2"}, ServerName: e.TLS.ServerName,
		// Shown also to a daemon that asks for others, which then says what is
		// wrong with it.
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil },
	}
	if config.ServerName == "" {
		config.ServerName, _, _ = net.SplitHostPort(e.Address) // split has seen it
	}
	if e.TLS.CA != "" {
		text, err := os.ReadFile(e.TLS.CA)
		if err != nil {
			return nil, atom.Errorf(errdefs.ErrInvalidArgument, "the daemon's CA: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(text) {
			return nil, atom.Errorf(errdefs.ErrInvalidArgument, "the daemon's CA %s has no certificate in it", e.TLS.CA)
		}
	}
	return config, nil
}
