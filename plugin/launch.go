package plugin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/hashicorp/go-hclog"
	goplugin "github.com/hashicorp/go-plugin"
	"github.com/hashicorp/go-plugin/runner"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/internal/wire"
)

const (
	startTimeout = 10 * time.Second
	// PingTimeout bounds a Ping whose context allows more: a plugin that does
	// not answer within it hangs.
	PingTimeout = 2 * time.Second
	// shutdownTime is for the plugin to take in the call to end, stopTime to
	// end afterwards.
	shutdownTime = time.Second
	stopTime     = 2 * time.Second
	// killTime is for the system to end a process that was killed: one that
	// waits for a dead disk takes its time.
	killTime = 3 * time.Second
)

// LaunchOptions say what to launch.
type LaunchOptions struct {
	// Name is the backend's; the plugin's log lines bear it.
	Name string
	// Path is the plugin's binary, and Args what it is given.
	Path string
	Args []string
	// SHA256 is what the binary's contents must hash to, in hexadecimal; ""
	// takes any. The file that is hashed is the one that is executed.
	SHA256 string
	// Env names variables of this process's environment that the plugin gets
	// beside PATH, HOME, TMPDIR, LANG, TZ, those of OpenTelemetry (OTEL_…)
	// and those that it asks for.
	Env []string
	// DialOptions are further options of the connection: OpenTelemetry's
	// handler, say. To interceptors the messages of a log stream are no
	// proto.Message.
	DialOptions []grpc.DialOption
	// Logger gets what the plugin logs, at its levels; nil drops it.
	Logger hclog.Logger
	// StartTimeout bounds the time until the plugin has described itself; 0
	// is 10 seconds.
	StartTimeout time.Duration
}

// Description is what a plugin tells of itself.
type Description struct {
	Name     string `json:"name"`
	Version  string `json:"version"`
	Protocol string `json:"protocol"` // "1.1"
	// Capabilities are the most that its engine can do.
	Capabilities atom.Capabilities `json:"capabilities"`
	Schema       Schema            `json:"schema"`
	// Env names the variables of the host's environment that it asks for.
	Env []string `json:"env"`
}

// Process is a running plugin. Its methods may be called from any number of
// goroutines.
type Process struct {
	described
	process  *process
	client   *goplugin.Client
	conn     *grpc.ClientConn
	sockets  *socketDir
	closing  sync.Once
	closeErr error
}

// Launch starts a plugin in a process group of its own and returns when it has
// described itself; Configure comes next. ctx ends the launch and not the
// plugin. Errors are Unavailable, or InvalidArgument for a failed pin; they
// name the binary and say what it did wrong, and leave nothing behind.
func Launch(ctx context.Context, o LaunchOptions) (*Process, error) {
	if o.Logger == nil {
		o.Logger = hclog.NewNullLogger()
	}
	if o.Name != "" && !strings.HasSuffix(o.Logger.Name(), o.Name) {
		o.Logger = o.Logger.Named(o.Name)
	}
	if o.StartTimeout <= 0 {
		o.StartTimeout = startTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, o.StartTimeout)
	defer cancel()
	sockets, err := makeSocketDir()
	if err != nil {
		return nil, atom.Errorf(errdefs.ErrUnavailable, "plugin %s: making a directory for its socket: %w", o.Path, err)
	}
	p := &Process{sockets: sockets}
	if err := p.launch(ctx, o); err != nil {
		p.Close()
		if ctx.Err() == context.DeadlineExceeded {
			err = fmt.Errorf("it did not get ready within %v%s", o.StartTimeout, p.lastWords())
		} else if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		var class error = errdefs.ErrUnavailable
		if errdefs.IsInvalidArgument(err) {
			class = errdefs.ErrInvalidArgument
		}
		return nil, atom.Errorf(class, "plugin %s: %w", o.Path, err)
	}
	return p, nil
}

func (p *Process) launch(ctx context.Context, o LaunchOptions) error {
	command, err := commandOf(o, p.sockets.path)
	if err != nil {
		return err
	}
	p.process = newProcess(command, o.Path)
	p.client = goplugin.NewClient(&goplugin.ClientConfig{
		HandshakeConfig:  handshake(),
		VersionedPlugins: versions(connection{}),
		AllowedProtocols: []goplugin.Protocol{goplugin.ProtocolGRPC},
		AutoMTLS:         true,
		SkipHostEnv:      true,
		StartTimeout:     o.StartTimeout + time.Second, // ours comes first
		UnixSocketConfig: &goplugin.UnixSocketConfig{TempDir: p.sockets.path},
		GRPCDialOptions:  append(dialOptions(), o.DialOptions...),
		Logger:           o.Logger,
		SyncStdout:       o.Logger.StandardWriter(&hclog.StandardLoggerOptions{ForceLevel: hclog.Debug}),
		SyncStderr:       o.Logger.StandardWriter(&hclog.StandardLoggerOptions{ForceLevel: hclog.Debug}),
		RunnerFunc: func(_ hclog.Logger, template *exec.Cmd, _ string) (runner.Runner, error) {
			command.Env = append(template.Env, environment(o.Env)...)
			return p.process, nil
		},
	})
	// Start knows no context: what ends it early is the plugin's end.
	stop := context.AfterFunc(ctx, p.process.kill)
	defer stop()
	if _, err = p.client.Start(); err != nil {
		return p.process.explain(err)
	}
	protocol, err := p.client.Client()
	if err != nil {
		return p.process.explain(err)
	}
	conn, err := protocol.Dispense(engineName)
	if err != nil {
		return err
	}
	p.conn = conn.(*grpc.ClientConn)
	return p.describe(ctx, NewClient(p.conn), p.client.NegotiatedVersion())
}

// dialOptions find a plugin that hangs: gRPC does not ping more often than
// every ten seconds (https://pkg.go.dev/google.golang.org/grpc/keepalive), so
// Ping finds it sooner.
func dialOptions() []grpc.DialOption {
	return append(wire.DialOptions(),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 10 * time.Second, Timeout: 5 * time.Second, PermitWithoutStream: true}))
}

// Ping asks the process, and nothing behind it, whether it still answers:
// Unavailable where it does not within PingTimeout.
func (p *Process) Ping(ctx context.Context) error {
	asking, cancel := context.WithTimeout(ctx, PingTimeout)
	defer cancel()
	_, err := grpc_health_v1.NewHealthClient(p.conn).Check(asking, &grpc_health_v1.HealthCheckRequest{Service: goplugin.GRPCServiceName})
	if err != nil && ctx.Err() == nil && asking.Err() != nil {
		return atom.Errorf(errdefs.ErrUnavailable, "the plugin does not answer within %v", PingTimeout)
	}
	return wire.ErrorFromWire(ctx, err)
}

// Done is closed when the plugin's process has ended, whyever.
func (p *Process) Done() <-chan struct{} { return p.process.done }

// Err says how the process ended, with what it said last; nil while it runs
// and after an end that Close asked for.
func (p *Process) Err() error {
	select {
	case <-p.process.done:
		return p.process.err()
	default:
		return nil
	}
}

// Close ends the plugin: it is asked to, and killed with its process group
// where it does not within seconds. It returns when the process is gone and
// its socket removed. It is idempotent.
func (p *Process) Close() error {
	p.closing.Do(func() {
		var err error
		if p.process != nil && p.process.started() {
			err = p.end()
		}
		if p.conn != nil && err != nil {
			p.conn.Close() // go-plugin would wait for the process for ever
		} else if p.conn != nil {
			// The process is gone, so that go-plugin finds nothing to wait
			// for; it ends its goroutines and closes the connection.
			p.client.Kill()
		}
		p.closeErr = errors.Join(err, p.sockets.remove())
	})
	return p.closeErr
}

// end ends the process on our clock: go-plugin's would wait for ever for one
// that is stopped.
func (p *Process) end() error {
	p.process.expectEnd()
	if p.conn != nil {
		ctx, cancel := context.WithTimeout(context.Background(), shutdownTime)
		// go-plugin's controller; a plugin that has none ends by its stdin.
		_ = p.conn.Invoke(ctx, "/plugin.GRPCController/Shutdown", &emptypb.Empty{}, &emptypb.Empty{})
		cancel()
	}
	p.process.closeStdin()
	select {
	case <-p.process.done:
		return nil
	case <-time.After(stopTime):
	}
	p.process.kill()
	select {
	case <-p.process.done:
		return nil
	case <-time.After(killTime):
		return atom.Errorf(errdefs.ErrUnavailable, "plugin %s: process %s was killed and does not end", p.process.path, p.process.ID())
	}
}

func (p *Process) lastWords() string {
	if p.process == nil {
		return ""
	}
	return p.process.lastWords()
}

var _ io.Closer = (*Process)(nil)
