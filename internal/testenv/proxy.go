package testenv

import (
	"io"
	"net"
	"sync"
	"testing"
)

// Proxy stands between a client and a server, and fails as networks do. Its
// methods may be called from any number of goroutines.
type Proxy struct {
	network, to string
	listener    net.Listener

	mu    sync.Mutex
	conns map[*proxied]struct{}
}

// proxied is one connection through a proxy.
type proxied struct {
	client, server net.Conn

	mu   sync.Mutex
	dead bool // what comes is swallowed, and nobody is told
}

// StartProxy listens at an address, whose port may be 0 and which may be a
// unix socket's path, and leads on to another of the same network. It ends
// with the test.
func StartProxy(t testing.TB, network, at, to string) *Proxy {
	t.Helper()
	l, err := net.Listen(network, at)
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{network: network, to: to, listener: l, conns: make(map[*proxied]struct{})}
	var accepting sync.WaitGroup
	accepting.Go(p.accept)
	t.Cleanup(func() {
		l.Close()
		p.Cut()
		accepting.Wait()
	})
	return p
}

// Addr is where the proxy listens.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial(p.network, p.to)
		if err != nil {
			client.Close()
			continue
		}
		c := &proxied{client: client, server: server}
		p.mu.Lock()
		p.conns[c] = struct{}{}
		p.mu.Unlock()
		go c.serve() // ends with the connection
	}
}

func (c *proxied) serve() {
	var both sync.WaitGroup
	both.Go(func() { c.copy(c.server, c.client) })
	both.Go(func() { c.copy(c.client, c.server) })
	both.Wait()
	c.close()
}

func (c *proxied) copy(to, from net.Conn) {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		c.mu.Lock()
		dead := c.dead
		c.mu.Unlock()
		if n > 0 && !dead {
			_, _ = to.Write(buf[:n])
		}
		half, ok := to.(interface{ CloseWrite() error })
		switch {
		case err == nil:
		case dead:
			return
		case err == io.EOF && ok:
			// One side has said all; the other may go on, as in a hijacked
			// connection of Docker's.
			_ = half.CloseWrite()
			return
		default:
			c.close()
			return
		}
	}
}

func (c *proxied) close() {
	c.client.Close()
	c.server.Close()
}

// Cut ends all connections. New ones work.
func (p *Proxy) Cut() {
	for _, c := range p.take() {
		c.close()
	}
}

// Die lets nothing through on the connections that there are, without ending
// them, as a firewall that has forgotten them. New ones work.
func (p *Proxy) Die() (bury func()) {
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

func (p *Proxy) take() []*proxied {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []*proxied
	for c := range p.conns {
		all = append(all, c)
	}
	clear(p.conns)
	return all
}
