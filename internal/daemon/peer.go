package daemon

import (
	"context"
	"crypto/x509"
	"fmt"
	"net"
	"os/user"
	"strconv"
	"time"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
)

// identity is who is at the other end of a connection, as the system or a
// certificate says.
type identity struct {
	// name is what rules and the audit log know them by: the certificate's, or
	// that of the user.
	name string
	// names are all that an access block may know them by.
	names []string
	// certificate is nil for a user of this machine.
	certificate *x509.Certificate
	uid         uint32
	address     string // "" for a Unix socket
}

func (i identity) String() string {
	if i.certificate != nil {
		return fmt.Sprintf("certificate %q at %s", i.name, i.address)
	}
	return fmt.Sprintf("user %s (uid %d)", i.name, i.uid)
}

// identify tells who makes the call of ctx.
func identify(ctx context.Context) (identity, error) {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return identity{}, fmt.Errorf("the call comes of no connection")
	}
	switch info := p.AuthInfo.(type) {
	case userInfo:
		return info.identity, nil
	case credentials.TLSInfo:
		if len(info.State.PeerCertificates) == 0 {
			return identity{}, fmt.Errorf("the client showed no certificate")
		}
		cert := info.State.PeerCertificates[0]
		id := identity{certificate: cert, names: namesOf(cert), address: p.Addr.String()}
		if len(id.names) == 0 {
			return identity{}, fmt.Errorf("the client's certificate names nobody: it has neither a common name nor a subject alternative name")
		}
		id.name = id.names[0]
		// An open connection does not outlive what let it in.
		if now := time.Now(); now.After(cert.NotAfter) {
			return identity{}, fmt.Errorf("the certificate of %s has expired at %s", id.name, cert.NotAfter.UTC().Format(time.RFC3339))
		}
		return id, nil
	}
	return identity{}, fmt.Errorf("the connection does not tell who is at its other end")
}

// namesOf are the names that a certificate gives its holder, the common name
// first.
func namesOf(c *x509.Certificate) []string {
	var names []string
	if c.Subject.CommonName != "" {
		names = append(names, c.Subject.CommonName)
	}
	names = append(names, c.DNSNames...)
	for _, u := range c.URIs {
		names = append(names, u.String())
	}
	return append(names, c.EmailAddresses...)
}

// userInfo is what the system knows of the other end of a Unix socket.
type userInfo struct {
	credentials.CommonAuthInfo
	identity identity
}

func (userInfo) AuthType() string { return "unix" }

// userCredentials ask the system who is at the other end of a Unix socket.
type userCredentials struct{}

func (userCredentials) ServerHandshake(conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	uid, err := uidOf(conn)
	if err != nil {
		return nil, nil, fmt.Errorf("asking who is at the other end of the socket: %w", err)
	}
	number := strconv.FormatUint(uint64(uid), 10)
	id := identity{name: number, names: []string{number}, uid: uid}
	if u, err := user.LookupId(number); err == nil {
		id.name, id.names = u.Username, append(id.names, u.Username)
	}
	return conn, userInfo{CommonAuthInfo: credentials.CommonAuthInfo{SecurityLevel: credentials.PrivacyAndIntegrity}, identity: id}, nil
}

func (userCredentials) ClientHandshake(context.Context, string, net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return nil, nil, fmt.Errorf("these are a server's credentials")
}

func (userCredentials) Info() credentials.ProtocolInfo {
	return credentials.ProtocolInfo{SecurityProtocol: "unix"}
}

func (c userCredentials) Clone() credentials.TransportCredentials { return c }
func (userCredentials) OverrideServerName(string) error           { return nil }

// rawConn is a connection that has a file descriptor, in whatever it is
// wrapped.
func rawConn(conn net.Conn) (*net.UnixConn, error) {
	for {
		switch c := conn.(type) {
		case *net.UnixConn:
			return c, nil
		case *limited:
			conn = c.Conn
		default:
			return nil, fmt.Errorf("%T is no Unix socket", conn)
		}
	}
}
