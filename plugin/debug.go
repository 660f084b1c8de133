package plugin

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"

	"github.com/hashicorp/go-hclog"
	goplugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/atom-router/atom-router/internal/wire"
	pb "github.com/atom-router/atom-router/plugin/proto/atomrouter/engine/v1"
)

// serveDebug is Serve for a plugin that somebody starts, most likely in a
// debugger: it says on stdout what to give the router, and serves those that
// attach until it is interrupted. Each connection gets an engine of its own, as
// each router gets a process of its own otherwise: it is configured once, and
// closed with the connection. Its log goes to stderr.
//
// There are no certificates: who may connect is who may enter the socket's
// directory, which is this user.
func serveDebug[C any](p Plugin[C]) error {
	log := hclog.New(&hclog.LoggerOptions{Name: p.Name, Level: hclog.Trace, Output: os.Stderr})
	if _, err := newAuthor(p, log); err != nil { // what is wrong with its config struct
		return err
	}
	listener, err := listenDebug(p.Name)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	defer context.AfterFunc(ctx, func() { listener.Close() })()
	fmt.Printf("atom-plugin-%s %s (protocol %d.%d) waits for a router. Add this to the backend's block of its config:\n\n"+
		"    attach = %q\n\nand start it with --allow-attach. Ctrl-C ends the plugin.\n",
		p.Name, p.Version, ProtocolMajor, ProtocolMinor, listener.Addr())
	var served sync.WaitGroup
	defer served.Wait()
	for {
		conn, err := listener.Accept()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		served.Go(func() {
			author, err := newAuthor(p, log)
			if err != nil {
				log.Error("a router is turned away", "error", err)
				conn.Close()
				return
			}
			log.Info("a router has attached")
			serveConn(ctx, conn, author)
			author.close()
			log.Info("a router is gone")
		})
	}
}

// serveConn serves author to one connection, until that or ctx ends and no
// call is under way any more.
func serveConn(ctx context.Context, conn net.Conn, author *author) {
	only := &oneConn{Conn: conn, gone: make(chan struct{})}
	server := grpc.NewServer(append(wire.ServerOptions(), grpc.WaitForHandlers(true))...)
	pb.RegisterEngineServer(server, author)
	alive := health.NewServer()
	alive.SetServingStatus(goplugin.GRPCServiceName, grpc_health_v1.HealthCheckResponse_SERVING)
	grpc_health_v1.RegisterHealthServer(server, alive)
	defer context.AfterFunc(ctx, func() { only.Close() })()
	_ = server.Serve(only) // it ends with the connection, and that is no error
	server.Stop()
}

// oneConn is a connection, and the listener that accepts it and no other.
type oneConn struct {
	net.Conn
	accepted bool // by Accept, which one goroutine calls
	once     sync.Once
	gone     chan struct{}
}

// Accept implements net.Listener: the connection first, and its end next.
func (c *oneConn) Accept() (net.Conn, error) {
	if !c.accepted {
		c.accepted = true
		return c, nil
	}
	<-c.gone
	return nil, net.ErrClosed
}

// Addr implements net.Listener.
func (c *oneConn) Addr() net.Addr { return c.LocalAddr() }

// Close implements net.Listener and net.Conn.
func (c *oneConn) Close() error {
	c.once.Do(func() { close(c.gone) })
	return c.Conn.Close()
}

// listenDebug listens where the plugin of this name does each time, so that a
// router finds one that was started again. The directory is this user's alone.
func listenDebug(name string) (net.Listener, error) {
	if name == "" || filepath.Base(name) != name {
		return nil, fmt.Errorf("its name, %q, is no file's name", name)
	}
	base := os.TempDir()
	if len(base) > maxTempDir {
		base = "/tmp"
	}
	dir := filepath.Join(base, fmt.Sprintf("atom-router-debug-%d", os.Getuid()))
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return nil, err
	}
	if err := private(dir); err != nil {
		return nil, err
	}
	// The lock lives as long as the process and tells a socket that is in use
	// from one that was left behind. Its file stays: removing it would let
	// two have one each.
	lock, err := os.OpenFile(filepath.Join(dir, name+".lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, name+".sock")
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		lock.Close()
		return nil, fmt.Errorf("another one of its name is being debugged at %s; end that first, or give this one a TMPDIR of its own", path)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		lock.Close()
		return nil, err
	}
	listener, err := net.Listen("unix", path)
	if err != nil {
		lock.Close()
		return nil, err
	}
	return &lockedListener{Listener: listener, lock: lock}, nil
}

// lockedListener is a listener with the lock on its socket's name.
type lockedListener struct {
	net.Listener
	lock *os.File
}

// Close implements net.Listener. The socket is removed before its lock is.
func (l *lockedListener) Close() error { return errors.Join(l.Listener.Close(), l.lock.Close()) }

// private refuses a directory that others than this user may enter: whoever
// can reach a debug socket can drive the engine, or be sent a config with
// secrets in it.
func private(dir string) error {
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !info.IsDir() || !ok || int(owner.Uid) != os.Getuid() || info.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("%s is not a directory of this user's alone (mode 0700)", dir)
	}
	return nil
}
