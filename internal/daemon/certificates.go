package daemon

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/atom-router/atom-router/router/config"
)

// certificates are those of a TCP listener. They are read again when their
// files have changed, which is looked for at each handshake; files that cannot
// be used leave the last good ones in place.
type certificates struct {
	listen config.Listen
	log    hclog.Logger

	mu      sync.Mutex
	current *tls.Config
	stamps  [3]stamp
	told    string
}

// stamp is by what a changed file is known.
type stamp struct {
	modified time.Time
	size     int64
}

func newCertificates(l config.Listen, log hclog.Logger) (*certificates, error) {
	c := &certificates{listen: l, log: log}
	stamps := c.look()
	if err := c.load(); err != nil {
		return nil, err
	}
	c.stamps = stamps
	return c, nil
}

// config is what the listener's TLS begins with.
func (c *certificates) config() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			return c.latest(), nil
		},
	}
}

func (c *certificates) latest() *tls.Config {
	c.mu.Lock()
	defer c.mu.Unlock()
	if stamps := c.look(); stamps != c.stamps {
		if err := c.load(); err != nil {
			// Written to at this moment, maybe: the next handshake looks again.
			if c.told != err.Error() {
				c.told = err.Error()
				c.log.Error("new certificates cannot be used; the last ones stay", "listen", c.listen, "error", err)
			}
			return c.current
		}
		c.stamps, c.told = stamps, ""
		c.log.Info("certificates were read again", "listen", c.listen)
	}
	return c.current
}

func (c *certificates) look() (stamps [3]stamp) {
	for n, path := range []string{c.listen.Cert, c.listen.Key, c.listen.ClientCA} {
		if info, err := os.Stat(path); err == nil {
			stamps[n] = stamp{info.ModTime(), info.Size()}
		}
	}
	return stamps
}

func (c *certificates) load() error {
	pair, err := tls.LoadX509KeyPair(c.listen.Cert, c.listen.Key)
	if err != nil {
		return fmt.Errorf("the certificate %s with key %s: %w", c.listen.Cert, c.listen.Key, err)
	}
	text, err := os.ReadFile(c.listen.ClientCA)
	if err != nil {
		return fmt.Errorf("the clients' CA: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return fmt.Errorf("the clients' CA %s has no certificate in it", c.listen.ClientCA)
	}
	if leaf := pair.Leaf; leaf != nil && time.Now().After(leaf.NotAfter) {
		return fmt.Errorf("the certificate %s has expired at %s: clients would refuse it", c.listen.Cert, leaf.NotAfter.UTC().Format(time.RFC3339))
	}
	c.current = &tls.Config{
		MinVersion: tls.VersionTLS13, NextProtos: []string{"h2"},
		Certificates: []tls.Certificate{pair}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert,
	}
	return nil
}
