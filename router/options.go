package router

import (
	"time"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc"
)

// Options say how a router runs, as Config says what it routes. The zero
// Options suit a program that embeds a router.
type Options struct {
	// Logger gets one line for each change of a backend's state and what
	// plugins log; nil logs nothing.
	Logger hclog.Logger
	// Builtin gives the command line of plugins that this program carries in
	// itself, by plugin name. A binary found in Config.PluginDirs or beside
	// this program's comes first.
	Builtin map[string][]string
	// StartTimeout bounds the start of a plugin, its configuration included;
	// 0 is 15 seconds. It does not hold for an attached one.
	StartTimeout time.Duration
	// AskTimeout bounds what a backend may take to answer a Get, a Lookup or
	// its part of a List; 0 is 10 seconds, and 10 minutes with AllowAttach,
	// as a plugin may stand at a breakpoint. Create, Stop, Wait, Logs and
	// Delete take as long as they take and end with their context.
	AskTimeout time.Duration
	// DialOptions are further options of the connections to plugins
	// and daemons. To interceptors the messages of a log stream are no
	// proto.Message.
	DialOptions []grpc.DialOption
	// Observer, where set, is told what the router does.
	Observer Observer
	// NoJanitor leaves to others what Backend.Retention promises. Programs
	// that end after one call set it.
	NoJanitor bool
	// AllowAttach lets backends be attached to plugins that somebody started
	// by hand, to debug them. It is here and not in the Config, so that a
	// config that is carried to production does not bring its permission
	// along.
	AllowAttach bool
}

func (o Options) withDefaults() Options {
	if o.Logger == nil {
		o.Logger = hclog.NewNullLogger()
	}
	if o.StartTimeout <= 0 {
		o.StartTimeout = 15 * time.Second
	}
	if o.AskTimeout <= 0 {
		o.AskTimeout = 10 * time.Second
		if o.AllowAttach {
			o.AskTimeout = attachPatience
		}
	}
	return o
}
