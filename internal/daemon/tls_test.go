package daemon

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/hashicorp/go-hclog"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/router"
)

// authority signs certificates into files of a site.
type authority struct {
	s    *site
	name string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func (s *site) authority(name string) *authority {
	s.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		s.t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		s.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		s.t.Fatal(err)
	}
	s.write(name+".pem", "CERTIFICATE", der)
	return &authority{s, name, cert, key}
}

func (s *site) write(name, kind string, der []byte) {
	s.t.Helper()
	// Renamed, so that a reader has one or the other.
	tmp := s.path(name + ".new")
	if err := os.WriteFile(tmp, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		s.t.Fatal(err)
	}
	if err := os.Rename(tmp, s.path(name)); err != nil {
		s.t.Fatal(err)
	}
}

// sign writes file.pem and file.key for a holder of that name.
func (a *authority) sign(file, name string, until time.Time) {
	a.s.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.s.t.Fatal(err)
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		a.s.t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: until,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}, a.cert, &key.PublicKey, a.key)
	if err != nil {
		a.s.t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.s.t.Fatal(err)
	}
	a.s.write(file+".key", "PRIVATE KEY", keyDER)
	a.s.write(file+".pem", "CERTIFICATE", der)
}

const listenTCP = `listen "tcp" {
  address   = "127.0.0.1:0"
  cert      = "server.pem"
  key       = "server.key"
  client_ca = "ca.pem"
}`

func (s *site) far(d *Daemon, client, ca string) router.Endpoint {
	return router.Endpoint{Address: d.Addresses()[0], TLS: &router.ClientTLS{
		Cert: s.path(client + ".pem"), Key: s.path(client + ".key"), CA: s.path(ca + ".pem"),
	}}
}

func TestTLS(t *testing.T) {
	s := newSite(t)
	soon := time.Now().Add(time.Hour)
	ca, other := s.authority("ca"), s.authority("other")
	ca.sign("server", "daemon", soon)
	ca.sign("client", "ci.example", soon)
	ca.sign("expired", "ci.example", time.Now().Add(-time.Minute))
	other.sign("stranger", "ci.example", soon)
	d := s.start(s.config(listenTCP))

	r := s.dial(s.far(d, "client", "ca"))
	if a, err := r.Wait(&atom.EngineWaitRequest{ID: sh(t, r, "exit 3").ID(), Context: within(t)}); err != nil {
		t.Error(err)
	} else if code := atom.InfoOf(a).ExitCode; code == nil || *code != 3 {
		t.Errorf("exit code %v, want 3", code)
	}

	for name, test := range map[string]struct {
		e    router.Endpoint
		want string
	}{
		"a client's expired certificate":  {s.far(d, "expired", "ca"), "expired certificate"},
		"a client of another CA":          {s.far(d, "stranger", "ca"), "unknown certificate authority"},
		"a daemon of another CA":          {s.far(d, "client", "other"), "certificate signed by unknown authority"},
		"a certificate that is not there": {s.far(d, "nobody", "ca"), "nobody.pem: no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := router.Dial(within(t), test.e, router.Options{})
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got error %v, want %q in it", err, test.want)
			}
			if !errdefs.IsUnavailable(err) && !errdefs.IsInvalidArgument(err) {
				t.Errorf("%v is neither Unavailable nor InvalidArgument", err)
			}
		})
	}
	t.Run("no certificate", func(t *testing.T) {
		conn, err := tls.Dial("tcp", d.Addresses()[0], &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
		if err == nil { // TLS 1.3 tells with the first answer
			defer conn.Close()
			_, err = conn.Read(make([]byte, 1))
		}
		if err == nil || !strings.Contains(err.Error(), "certificate required") {
			t.Errorf("got error %v, want that a certificate is required", err)
		}
	})
}

// An expired certificate of the daemon is its operator's to hear of, not its
// clients'.
func TestDaemonsExpiredCertificate(t *testing.T) {
	s := newSite(t)
	s.authority("ca").sign("server", "daemon", time.Now().Add(-time.Minute))
	_, err := Start(t.Context(), options(s.config(listenTCP), hclog.NewNullLogger()))
	if err == nil || !strings.Contains(err.Error(), "server.pem has expired at ") {
		t.Errorf("got error %v, want that the certificate has expired", err)
	}
}

// New certificates are shown to the next client; files that make no sense
// change nothing.
func TestCertificatesAreReadAgain(t *testing.T) {
	s := newSite(t)
	soon := time.Now().Add(time.Hour)
	ca := s.authority("ca")
	ca.sign("server", "first", soon)
	ca.sign("client", "ci", soon)
	d := s.start(s.config(listenTCP))
	shown := func() string {
		t.Helper()
		pair, err := tls.LoadX509KeyPair(s.path("client.pem"), s.path("client.key"))
		if err != nil {
			t.Fatal(err)
		}
		conn, err := tls.Dial("tcp", d.Addresses()[0], &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}, Certificates: []tls.Certificate{pair}})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		return conn.ConnectionState().PeerCertificates[0].Subject.CommonName
	}
	if got := shown(); got != "first" {
		t.Errorf("the certificate is %q's, want first's", got)
	}
	ca.sign("server", "second", soon)
	if got := shown(); got != "second" {
		t.Errorf("after a change the certificate is %q's, want second's", got)
	}
	if err := os.WriteFile(s.path("server.pem"), []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := shown(); got != "second" {
		t.Errorf("after nonsense the certificate is %q's, want second's", got)
	}
	ca.sign("server", "third", soon)
	if got := shown(); got != "third" {
		t.Errorf("after the nonsense the certificate is %q's, want third's", got)
	}
}

// A connection does not outlive the certificate that let it in.
func TestCertificateExpiresOnAConnection(t *testing.T) {
	s := newSite(t)
	ca := s.authority("ca")
	ca.sign("server", "daemon", time.Now().Add(time.Hour))
	until := time.Now().Add(5 * time.Second)
	ca.sign("client", "ci", until)
	r := s.dial(s.far(s.start(s.config(listenTCP)), "client", "ca"))
	if _, err := r.List(&atom.EngineListRequest{Context: within(t)}); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Until(until) + time.Second) // a certificate's times are whole seconds
	_, err := r.List(&atom.EngineListRequest{Context: within(t)})
	if err == nil || !strings.Contains(err.Error(), "certificate of ci has expired") {
		t.Errorf("got error %v, want that the certificate has expired", err)
	}
}
