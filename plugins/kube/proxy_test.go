package kube

import (
	"io"
	"net"
	"net/url"
	"sync"
	"testing"

	"k8s.io/client-go/rest"
)

// proxy stands between an engine and the API server, and fails as networks do.
type proxy struct {
	to       string
	listener net.Listener

	mu    sync.Mutex
	conns map[*proxied]struct{}
}

// proxied is one connection through a proxy.
type proxied struct {
	client, server net.Conn

	mu   sync.Mutex
	dead bool // what comes is swallowed, and nobody is told
}

// through gives a kubeconfig of the account that leads through a proxy, with
// that token. Connections by it are asked more often whether they live: 30 and
// 15 seconds are client-go's defaults.
func (s space) through(t *testing.T, token string) (*proxy, string) {
	t.Helper()
	t.Setenv("HTTP2_READ_IDLE_TIMEOUT_SECONDS", "2")
	t.Setenv("HTTP2_PING_TIMEOUT_SECONDS", "1")
	at, err := url.Parse(s.Config.Host)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{to: at.Host, listener: l, conns: make(map[*proxied]struct{})}
	var accepting sync.WaitGroup
	accepting.Go(p.accept)
	t.Cleanup(func() {
		l.Close()
		p.cut()
		accepting.Wait()
	})
	config := rest.CopyConfig(s.Config)
	config.Host = "https://" + l.Addr().String()
	config.ServerName = "kubernetes.default.svc" // or client-go would share another's transport
	other := *s.Space
	other.Config = config
	return p, other.Write(t, token, "proxy")
}

func (p *proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.to)
		if err != nil {
			client.Close()
			continue
		}
		c := &proxied{client: client, server: server}
		p.mu.Lock()
		p.conns[c] = struct{}{}
		p.mu.Unlock()
		go c.copy(server, client)
		go c.copy(client, server)
	}
}

func (c *proxied) copy(to io.Writer, from io.Reader) {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		c.mu.Lock()
		dead := c.dead
		c.mu.Unlock()
		switch {
		case dead && err != nil:
			return
		case dead:
			continue
		case n > 0:
			_, _ = to.Write(buf[:n])
		}
		if err != nil {
			c.close()
			return
		}
	}
}

func (c *proxied) close() {
	c.client.Close()
	c.server.Close()
}

// cut ends all connections.
func (p *proxy) cut() {
	for _, c := range p.take() {
		c.close()
	}
}

// die lets nothing through on the connections that there are, without ending
// them, as a firewall that has forgotten them. New ones work.
func (p *proxy) die() (bury func()) {
	dead := p.take()
	for _, c := range dead {
		c.mu.Lock()
		c.dead = true
		c.mu.Unlock()
	}
	return func() {
		for _, c := range dead {
			c.close()
		}
	}
}

func (p *proxy) take() []*proxied {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []*proxied
	for c := range p.conns {
		all = append(all, c)
	}
	clear(p.conns)
	return all
}
