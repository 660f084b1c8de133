package router

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/plugin"
)

// pluginPrefix and a plugin's name make the name of its binary.
const pluginPrefix = "atom-plugin-"

// launcher starts plugin processes for backends.
type launcher struct {
	dirs    []string
	builtin map[string][]string
	timeout time.Duration
	dial    []grpc.DialOption
}

// start launches the plugin of conf and configures it. It leaves nothing
// behind when it fails.
func (l *launcher) start(ctx context.Context, conf Backend, log hclog.Logger) (*instance, error) {
	if conf.Attach != "" {
		return l.attach(ctx, conf, log)
	}
	command, err := FindPlugin(conf.Plugin, l.dirs, l.builtin)
	if err != nil {
		return nil, err
	}
	p, err := plugin.Launch(ctx, plugin.LaunchOptions{
		Name: conf.Name, Path: command[0], Args: command[1:], SHA256: conf.SHA256, Env: conf.Env,
		Logger: log, StartTimeout: l.timeout, DialOptions: l.dial,
	})
	if err != nil {
		return nil, err
	}
	if err := configure(ctx, p, conf.Settings); err != nil {
		if cerr := p.Close(); cerr != nil {
			log.Debug("closing a plugin that was not configured", "error", cerr)
		}
		return nil, err
	}
	i := newInstance(p.Engine())
	i.serves(p)
	return i, nil
}

// pluginEnd is the router's end of a plugin: of one that it launched, or that it
// is attached to.
type pluginEnd interface {
	Description() plugin.Description
	Configure(ctx context.Context, configJSON []byte) error
	Ping(context.Context) error
	Done() <-chan struct{}
	Err() error
	Close() error
}

// serves makes p what stands behind the instance.
func (i *instance) serves(p pluginEnd) {
	d := p.Description()
	i.most, i.plugin, i.version = d.Capabilities, d.Name, d.Version
	i.done, i.why, i.close, i.ping = p.Done(), p.Err, p.Close, p.Ping
}

// configure decodes the backend's settings against what its plugin publishes
// and hands them over. What the plugin finds wrong comes back with the
// settings' positions.
func configure(ctx context.Context, p pluginEnd, s Settings) error {
	config := []byte("{}")
	if s != nil {
		decoded, err := s.Decode(p.Description().Schema)
		if err != nil {
			return &reclassed{class: errdefs.ErrInvalidArgument, err: err}
		}
		config = decoded
	}
	err := p.Configure(ctx, config)
	if err != nil && s != nil && errdefs.IsInvalidArgument(err) {
		return &reclassed{class: errdefs.ErrInvalidArgument, err: s.Explain(err)}
	}
	return err
}

// FindPlugin returns the command line that starts a plugin: its binary from
// dirs or from beside this program's own, or what this program carries in
// itself, as Options.Builtin has it. PATH is not asked: what may act with the
// router's rights is the operator's choice. Where there is none, the error is
// Unavailable and lists the places.
func FindPlugin(name string, dirs []string, builtin map[string][]string) ([]string, error) {
	if self, err := os.Executable(); err == nil {
		if real, err := filepath.EvalSymlinks(self); err == nil {
			self = real
		}
		dirs = append(dirs[:len(dirs):len(dirs)], filepath.Dir(self))
	}
	for _, dir := range dirs {
		path := filepath.Join(dir, pluginPrefix+name)
		// What is there and cannot be started is an error of the launch,
		// which says so; another one further on would hide it.
		if info, err := os.Stat(path); err == nil && !info.IsDir() {
			return []string{path}, nil
		}
	}
	if command := builtin[name]; len(command) > 0 {
		return command, nil
	}
	return nil, atom.Errorf(errdefs.ErrUnavailable, "plugin %s: there is no %s in %s",
		quote(name), pluginPrefix+name, places(dirs))
}

func places(dirs []string) string {
	if len(dirs) == 0 {
		return "any directory: set plugin_dir"
	}
	return fmt.Sprintf("%s (PATH is not searched)", strings.Join(dirs, ", "))
}
