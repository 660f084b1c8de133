package plugin

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	goplugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/internal/wire"
	pb "github.com/atom-router/atom-router/plugin/proto/atomrouter/engine/v1"
)

// Plugin is what an author serves: an engine, and what hosts must know to
// configure it. C is a struct of the config's shape, with hcl tags; see
// SchemaOf. struct{} takes no config.
type Plugin[C any] struct {
	// Name is the plugin's own: "docker" of the binary atom-plugin-docker.
	Name string
	// Version is the plugin's own, for people.
	Version string
	// Capabilities are the most that the engine can do. An engine that is an
	// atom.Prober says later what holds.
	Capabilities atom.Capabilities
	// Env names the variables of the host's environment that the engine
	// wants. They are set before New is called. PATH, HOME, TMPDIR, LANG and
	// TZ are always there; of the others there are none.
	Env []string
	// New makes the engine. What is wrong with config are *atom.FieldErrors
	// whose Field is the attribute's path ("tls.ca", "registry_auth[0].user");
	// a daemon that is not there is no error here. log goes to the host. An
	// engine that is an io.Closer is closed when the process ends.
	New func(ctx context.Context, config C, log Logger) (atom.Engine, error)
	// ServerOptions are further options of the gRPC server: OpenTelemetry's
	// handler, say, which makes the plugin's part of a trace of calls that
	// come with a traceparent.
	ServerOptions []grpc.ServerOption
	// Close, where set, is called when the process ends, after the engine's.
	// It has less than a second.
	Close func()
}

// Logger is what an engine logs with: a message, and keys and values in turn.
type Logger = hclog.Logger

// closeTime bounds an engine's Close when its process ends.
const closeTime = 700 * time.Millisecond

// Serve is the main function of a plugin: it serves p to the host that
// started the process and returns when the host has gone, however it went. It
// answers --version and --help by itself, waits with --debug for routers to
// attach, and exits with status 1 where no host started it.
//
// The process ignores SIGINT and SIGTERM, which reach whole process groups
// and are the host's to act on. What it prints on stdout goes to the host's
// log.
func Serve[C any](p Plugin[C]) {
	if len(os.Args) == 2 {
		switch os.Args[1] {
		case "--version", "-version", "version":
			fmt.Printf("atom-plugin-%s %s (protocol %d.%d)\n", p.Name, p.Version, ProtocolMajor, ProtocolMinor)
			return
		case "--debug", "-debug":
			if err := serveDebug(p); err != nil {
				fmt.Fprintf(os.Stderr, "atom-plugin-%s: %v\n", p.Name, err)
				os.Exit(1)
			}
			return
		case "--help", "-help", "-h", "help":
			fmt.Printf("atom-plugin-%s is an engine plugin of atom-router. The router starts it; put it into plugin_dir\n"+
				"and name it in a backend block: plugin = %q. Its settings: atom-router plugin describe %s\n"+
				"With --debug it waits for a router to attach, under a debugger for example, and says how.\n", p.Name, p.Name, p.Name)
			return
		}
	}
	if cookie := handshake(); os.Getenv(cookie.MagicCookieKey) != cookie.MagicCookieValue {
		fmt.Fprintf(os.Stderr, "atom-plugin-%s is an engine plugin of atom-router and is started by it, not by hand; see --help\n", p.Name)
		os.Exit(1)
	}
	log := hclog.New(&hclog.LoggerOptions{Level: hclog.Trace, Output: os.Stderr, JSONFormat: true})
	author, err := newAuthor(p, log)
	if err == nil {
		err = keepStdout()
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "atom-plugin-%s: %v\n", p.Name, err)
		os.Exit(1)
	}
	// Notify and not Ignore: an ignored signal stays ignored in the programs
	// that an engine starts.
	ignored := make(chan os.Signal, 1)
	signal.Notify(ignored, syscall.SIGINT, syscall.SIGTERM)
	go func() { // ends with the process
		for range ignored {
		}
	}()
	// The other end of stdin is the host's alone, so its end is the host's.
	go func() { // ends with the process
		io.Copy(io.Discard, os.Stdin)
		author.close()
		endOwnGroup() // what an engine started ends with it, as where the host ends the plugin
		os.Exit(0)
	}()
	goplugin.Serve(&goplugin.ServeConfig{
		HandshakeConfig:  handshake(),
		VersionedPlugins: versions(registrar{register: func(s grpc.ServiceRegistrar) { pb.RegisterEngineServer(s, author) }}),
		GRPCServer: func(opts []grpc.ServerOption) *grpc.Server {
			return grpc.NewServer(slices.Concat(opts, wire.ServerOptions(), p.ServerOptions)...)
		},
		// go-plugin's own words are of no use to operators.
		Logger: hclog.New(&hclog.LoggerOptions{Level: hclog.Warn, Output: os.Stderr, JSONFormat: true}),
	})
	author.close()
}
