package daemon

import (
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
)

const (
	// One client, a user or an address, has at most so many connections, and
	// all together so many. One connection carries any number of calls.
	connectionsOfOne = 512
	connectionsOfAll = 4096
)

// limitListener accepts no more connections than the limits allow: the others
// are closed at once, so that those who have one are not disturbed.
type limitListener struct {
	net.Listener
	log hclog.Logger

	mu   sync.Mutex
	all  int
	of   map[string]int
	told time.Time
}

func newLimitListener(l net.Listener, log hclog.Logger) *limitListener {
	return &limitListener{Listener: l, log: log, of: make(map[string]int)}
}

func (l *limitListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		who := countedBy(conn)
		if l.enter(who) {
			return &limited{Conn: conn, leave: sync.OnceFunc(func() { l.leave(who) })}, nil
		}
		_ = conn.Close()
	}
}

// countedBy is what connections are counted by.
func countedBy(conn net.Conn) string {
	if uid, err := uidOf(conn); err == nil {
		return fmt.Sprintf("uid %d", uid)
	}
	host, _, err := net.SplitHostPort(conn.RemoteAddr().String())
	if err != nil {
		return conn.RemoteAddr().String()
	}
	return host
}

func (l *limitListener) enter(who string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.all < connectionsOfAll && l.of[who] < connectionsOfOne {
		l.all++
		l.of[who]++
		return true
	}
	if time.Since(l.told) > 10*time.Second {
		l.told = time.Now()
		l.log.Warn("connections are refused: there are too many", "client", who, "of_client", l.of[who], "of_all", l.all)
	}
	return false
}

func (l *limitListener) leave(who string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all--
	if l.of[who]--; l.of[who] == 0 {
		delete(l.of, who)
	}
}

// limited is a connection that is counted until it is closed.
type limited struct {
	net.Conn
	leave func()
}

func (c *limited) Close() error {
	defer c.leave()
	return c.Conn.Close()
}
