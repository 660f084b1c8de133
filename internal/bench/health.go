package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"

	"github.com/atom-router/atom-router/internal/wire"
	pb "github.com/atom-router/atom-router/plugin/proto/atomrouter/engine/v1"
)

// The baseline of a routed Get: the same kind of socket, the same kind of
// encryption (go-plugin's AutoMTLS: P-521, both sides known), the same options
// of gRPC, another process, and a call that does nothing.

// startHealthServer starts the baseline server and returns a client of it.
func startHealthServer(ctx context.Context) (client grpc_health_v1.HealthClient, pid int, stop func(), err error) {
	conn, pid, stop, err := startBare(ctx)
	if err != nil {
		return nil, 0, nil, err
	}
	return grpc_health_v1.NewHealthClient(conn), pid, stop, nil
}

// startBare starts the baseline server as a child and connects to it.
func startBare(ctx context.Context) (conn *grpc.ClientConn, pid int, stop func(), err error) {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return nil, 0, nil, err
	}
	cert, err := writeCertificate(dir)
	if err != nil {
		return nil, 0, nil, err
	}
	socket := filepath.Join(dir, "health.sock")
	server := exec.CommandContext(ctx, "/proc/self/exe", "child-health", socket, dir)
	server.Stderr = os.Stderr
	ends, err := server.StdinPipe() // the child ends with us
	if err != nil {
		return nil, 0, nil, err
	}
	ready, err := server.StdoutPipe()
	if err != nil {
		return nil, 0, nil, err
	}
	if err := server.Start(); err != nil {
		return nil, 0, nil, err
	}
	if _, err := io.ReadFull(ready, make([]byte, 1)); err != nil {
		return nil, 0, nil, fmt.Errorf("starting the health server: %w", err)
	}
	conn, err = grpc.NewClient("unix:"+socket, append(wire.DialOptions(), // as plugin.Launch has it
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 10 * time.Second, Timeout: 5 * time.Second, PermitWithoutStream: true}),
		grpc.WithTransportCredentials(credentials.NewTLS(mutualTLS(cert))))...)
	if err != nil {
		return nil, 0, nil, err
	}
	return conn, server.Process.Pid, func() {
		conn.Close()
		ends.Close()
		server.Wait()
		os.RemoveAll(dir)
	}, nil
}

// serveHealth is the child.
func serveHealth(socket, dir string) error {
	cert, err := tls.LoadX509KeyPair(filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"))
	if err != nil {
		return err
	}
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	server := grpc.NewServer(append(wire.ServerOptions(), grpc.Creds(credentials.NewTLS(mutualTLS(cert))))...)
	grpc_health_v1.RegisterHealthServer(server, &holding{Server: health.NewServer(), ended: make(chan struct{})})
	pb.RegisterEngineServer(server, bareStream{})
	go func() { // ends with the process
		io.Copy(io.Discard, os.Stdin)
		server.Stop()
	}()
	os.Stdout.Write([]byte("\n"))
	return server.Serve(listener)
}

// holding also answers "wait", when "end" is asked, and "about", whose status
// is how many wait.
type holding struct {
	*health.Server
	waits atomic.Int64
	mu    sync.Mutex
	ended chan struct{}
}

func (h *holding) Check(ctx context.Context, r *grpc_health_v1.HealthCheckRequest) (*grpc_health_v1.HealthCheckResponse, error) {
	if r.Service == "" {
		return h.Server.Check(ctx, r)
	}
	h.mu.Lock()
	ended := h.ended
	if r.Service == "end" {
		close(h.ended)
		h.ended = make(chan struct{})
	}
	h.mu.Unlock()
	switch r.Service {
	case "about":
		debug.FreeOSMemory()
		return &grpc_health_v1.HealthCheckResponse{Status: grpc_health_v1.HealthCheckResponse_ServingStatus(h.waits.Load())}, nil
	case "wait":
		h.waits.Add(1)
		defer h.waits.Add(-1)
		select {
		case <-ended:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return &grpc_health_v1.HealthCheckResponse{}, nil
}

func mutualTLS(cert tls.Certificate) *tls.Config {
	pool := x509.NewCertPool()
	pool.AddCert(cert.Leaf)
	return &tls.Config{
		Certificates: []tls.Certificate{cert}, RootCAs: pool, ClientCAs: pool, ServerName: "localhost",
		ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS12,
	}
}

func writeCertificate(dir string) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
		IsCA:        true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, err
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return tls.Certificate{}, err
	}
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER})
	if err := os.WriteFile(filepath.Join(dir, "cert.pem"), certPEM, 0o600); err != nil {
		return tls.Certificate{}, err
	}
	if err := os.WriteFile(filepath.Join(dir, "key.pem"), keyPEM, 0o600); err != nil {
		return tls.Certificate{}, err
	}
	return tls.X509KeyPair(certPEM, keyPEM)
}
