package plugintest

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/atom-router/atom-router/plugin"
	pb "github.com/atom-router/atom-router/plugin/proto/atomrouter/engine/v1"
)

// soon is how long a plugin may take for what it does at once: its second is
// much longer on a machine under load.
const soon = 10 * time.Second

// process is a plugin, started as the protocol says and by nothing else than
// that: plugin.Launch is kinder to what plugins do wrong.
type process struct {
	cmd    *exec.Cmd
	stdin  io.Closer
	stdout output
	stderr output
	dir    string // that its socket is to be in
	own    *identity
	done   chan struct{} // closed when it has ended and is reaped
	end    error         // how; to be read after done
	unbind func() bool   // from its context

	line   string // its handshake
	socket string
	tls    *tls.Config
	conn   *grpc.ClientConn
	rpc    pb.EngineClient
	engine *plugin.Client
}

// cookie is what a plugin knows its host by.
const cookie = "ATOM_ROUTER_PLUGIN=engine"

// start starts the plugin, with these variables beside those that every plugin
// gets, and does not wait for anything. It ends with ctx at the latest, or
// by close.
func (c Candidate) start(ctx context.Context, env ...string) (*process, error) {
	path, err := filepath.Abs(c.Command[0])
	if err != nil {
		return nil, err
	}
	own, err := newIdentity()
	if err != nil {
		return nil, err
	}
	base := os.TempDir()
	if len(base) > 40 { // the path of a socket has at most 104 bytes
		base = "/tmp"
	}
	dir, err := os.MkdirTemp(base, "atomx-")
	if err != nil {
		return nil, err
	}
	p := &process{dir: dir, own: own, done: make(chan struct{})}
	p.cmd = &exec.Cmd{
		Path: path, Args: append([]string{path}, c.Command[1:]...),
		SysProcAttr: &syscall.SysProcAttr{Setpgid: true},
	}
	for _, name := range append([]string{"PATH", "HOME", "TMPDIR", "LANG", "TZ"}, c.Env...) {
		if value, ok := os.LookupEnv(name); ok {
			p.cmd.Env = append(p.cmd.Env, name+"="+value)
		}
	}
	p.cmd.Env = append(p.cmd.Env, "PLUGIN_UNIX_SOCKET_DIR="+dir, "PLUGIN_CLIENT_CERT="+own.pem)
	p.cmd.Env = append(p.cmd.Env, env...)
	if err := p.launch(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	go func() { // ends with the process
		p.end = p.cmd.Wait()
		p.stdout.end()
		p.stderr.end()
		close(p.done)
	}()
	p.unbind = context.AfterFunc(ctx, p.kill)
	return p, nil
}

// launch starts the process, with pipes.
func (p *process) launch() error {
	stdout, err := p.stdout.open()
	if err != nil {
		return err
	}
	defer stdout.Close()
	stderr, err := p.stderr.open()
	if err != nil {
		p.stdout.end()
		return err
	}
	defer stderr.Close()
	p.cmd.Stdout, p.cmd.Stderr = stdout, stderr
	if p.stdin, err = p.cmd.StdinPipe(); err == nil {
		err = p.cmd.Start()
	}
	if err != nil {
		p.stdout.end()
		p.stderr.end()
	}
	return err
}

// meet starts the plugin as a host does, and shakes hands with it.
func (c Candidate) meet(ctx context.Context) (*process, error) {
	p, err := c.start(ctx, cookie, fmt.Sprintf("PLUGIN_PROTOCOL_VERSIONS=%d", plugin.ProtocolMajor))
	if err != nil {
		return nil, err
	}
	if err = p.shake(ctx); err == nil {
		err = p.dial()
	}
	if err != nil {
		err = p.why(err)
		p.close()
		return nil, err
	}
	return p, nil
}

// begin starts the plugin and configures it.
func (c Candidate) begin(ctx context.Context) (*process, error) {
	p, err := c.meet(ctx)
	if err != nil {
		return nil, err
	}
	if err := p.configure(ctx, c.Config); err != nil {
		err = p.why(fmt.Errorf("configure: %w", err))
		p.close()
		return nil, err
	}
	return p, nil
}

// shake waits for the handshake and reads it.
func (p *process) shake(ctx context.Context) error {
	err := until(ctx, time.Minute, "a first line on stdout", func() bool {
		line, _, ok := strings.Cut(p.stdout.String(), "\n")
		p.line = line
		return ok || p.ended()
	})
	if err != nil {
		return err
	}
	f := strings.Split(strings.TrimSpace(p.line), "|")
	if len(f) < 6 {
		return fmt.Errorf("its first line on stdout is %q; want 1|%d|unix|SOCKET|grpc|CERTIFICATE", p.line, plugin.ProtocolMajor)
	}
	der, err := base64.RawStdEncoding.DecodeString(f[5])
	if err != nil {
		return fmt.Errorf("its handshake's certificate is no base64 without padding: %w", err)
	}
	p.socket = f[3]
	p.tls, err = p.own.facing(der)
	return err
}

// dial prepares a connection, which is made by the first call.
func (p *process) dial() error {
	conn, err := connect(p.socket, credentials.NewTLS(p.tls))
	if err != nil {
		return err
	}
	p.conn, p.rpc, p.engine = conn, pb.NewEngineClient(conn), plugin.NewClient(conn)
	return nil
}

// connect prepares a connection to a socket, in the sizes of the protocol.
func connect(socket string, creds credentials.TransportCredentials) (*grpc.ClientConn, error) {
	return grpc.NewClient("passthrough:///localhost",
		grpc.WithTransportCredentials(creds), grpc.WithIdleTimeout(0),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(plugin.MaxMessageBytes), grpc.MaxCallSendMsgSize(plugin.MaxMessageBytes)),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		}))
}

// configure configures the plugin as a host does.
func (p *process) configure(ctx context.Context, config []byte) error {
	d, err := p.rpc.Describe(ctx, &pb.DescribeRequest{})
	if err != nil {
		return fmt.Errorf("describe: %w", err)
	}
	r := &pb.ConfigureRequest{Config: config, Environment: make(map[string]string)}
	if len(bytes.TrimSpace(config)) == 0 {
		r.Config = []byte("{}")
	}
	for _, name := range d.Environment {
		if value, ok := os.LookupEnv(name); ok {
			r.Environment[name] = value
		}
	}
	_, err = p.rpc.Configure(ctx, r)
	return err
}

func (p *process) pid() int { return p.cmd.Process.Pid }

func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// endsSoon waits for the process to end.
func (p *process) endsSoon(ctx context.Context, after string) error {
	select {
	case <-p.done:
		return nil
	case <-time.After(soon):
		return fmt.Errorf("%v after %s it is still running; want it to end within a second", soon, after)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// signal sends the process itself a signal.
func (p *process) signal(s syscall.Signal) error {
	if err := p.cmd.Process.Signal(s); err != nil {
		return fmt.Errorf("sending it %v: %w", s, err)
	}
	return nil
}

// standStill stops the process and returns when all of it stands still.
func (p *process) standStill(ctx context.Context) error {
	if err := p.signal(syscall.SIGSTOP); err != nil {
		return err
	}
	return until(ctx, soon, "the effect of SIGSTOP", func() bool {
		threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", p.pid()))
		for _, path := range threads {
			if state, _ := stat(path); state != "T" && state != "" {
				return false
			}
		}
		return true
	})
}

// kill ends the process, and what it has in its group. A group's number is
// not given to another as long as one of its processes is there.
func (p *process) kill() { _ = syscall.Kill(-p.pid(), syscall.SIGKILL) }

// close ends the process and leaves nothing of it.
func (p *process) close() {
	p.unbind()
	if p.conn != nil {
		_ = p.conn.Close()
	}
	if !p.ended() || inGroup(p.pid()) {
		p.kill()
	}
	<-p.done
	_ = os.RemoveAll(p.dir)
}

// why adds to an error that the process has ended, which may be its reason.
func (p *process) why(err error) error {
	if err == nil || !p.ended() {
		return err
	}
	end := "exit status 0"
	if p.end != nil {
		end = p.end.Error()
	}
	words := strings.TrimSpace(p.stderr.String())
	if words != "" {
		words = ", saying: " + words[max(0, len(words)-500):]
	}
	return fmt.Errorf("%w\nthe plugin's process has ended: %s%s", err, end, words)
}

// text is what a process wrote, as far as it is kept.
type text struct {
	mu  sync.Mutex
	all []byte
}

// kept is how much of an output is kept.
const kept = 64 << 10

// Write implements io.Writer. What is too much is dropped.
func (t *text) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.all = append(t.all, b[:min(len(b), kept-len(t.all))]...)
	return len(b), nil
}

func (t *text) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.all)
}

// until asks until the answer is yes, for at most d.
func until(ctx context.Context, d time.Duration, what string, ask func() bool) error {
	deadline := time.NewTimer(d)
	defer deadline.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ask() {
		select {
		case <-tick.C:
		case <-deadline.C:
			return fmt.Errorf("%s has not come within %v", what, d)
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w", what, ctx.Err())
		}
	}
	return nil
}
