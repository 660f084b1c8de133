package router

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/containerd/errdefs"

	"github.com/atom-router/atom-router/atom"
)

// Engine is an atom.Engine, atom.Deleter and atom.Lookuper over the backends
// of a Config. The ID of an atom says which backend has it, so that any number
// of routers with one config serve the same atoms, and none keeps a record of
// them.
//
// Its errors carry one prefix, an *atom.OpError, and the class and details
// that the backend's engine gave. A backend whose plugin cannot be started is
// Unavailable, or InvalidArgument where its config is wrong; the others serve.
//
// All methods may be called from any number of goroutines. After Close they
// return Unavailable.
type Engine struct {
	config   Config
	options  Options
	backends []*backend
	byName   map[string]*backend // aliases too

	close sync.Once
	life  context.Context
	end   context.CancelFunc
	wg    sync.WaitGroup // the janitor
}

var (
	_ atom.Engine   = (*Engine)(nil)
	_ atom.Deleter  = (*Engine)(nil)
	_ atom.Lookuper = (*Engine)(nil)
)

// New returns a router for config, which must not be changed afterwards. It
// starts no plugin: each is started when a call needs it. An error says
// every mistake that Config.Check finds and is InvalidArgument. ctx bounds New
// alone.
func New(ctx context.Context, config Config, options Options) (*Engine, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	options = options.withDefaults()
	var wrong []error
	for _, p := range config.Check() {
		if p.Severity == SeverityError {
			wrong = append(wrong, errors.New(p.String()))
		} else {
			options.Logger.Warn("router config", "problem", p.String())
		}
	}
	if len(wrong) > 0 {
		return nil, atom.Errorf(errdefs.ErrInvalidArgument, "router config: %w", errors.Join(wrong...))
	}
	config.Rules = prepared(config.Rules)
	e := &Engine{config: config, options: options, byName: make(map[string]*backend)}
	e.life, e.end = context.WithCancel(context.Background())
	l := &launcher{dirs: config.PluginDirs, builtin: e.options.Builtin, timeout: e.options.StartTimeout}
	for _, conf := range config.Backends {
		log := e.options.Logger.Named(conf.Name)
		b := newBackend(conf, log, e.options.StartTimeout, func(ctx context.Context) (*instance, error) {
			if conf.Engine != nil {
				return inProcess(conf.Engine), nil
			}
			return l.start(ctx, conf, log)
		})
		e.backends = append(e.backends, b)
		for _, name := range append([]string{conf.Name}, conf.Aliases...) {
			e.byName[name] = b
		}
	}
	if !e.options.NoJanitor {
		e.wg.Go(e.clean)
	}
	return e, nil
}

// Close ends all plugins and refuses further calls; calls under way end with
// Unavailable. Atoms are not touched. It returns when all plugins and
// goroutines of the router have ended, which is bounded, and may be called
// more than once. Engines given in Backend.Engine stay open.
func (e *Engine) Close() error {
	e.close.Do(e.end)
	each(e.backends, func(_ int, b *backend) { b.close() })
	e.wg.Wait()
	return nil
}

// Validate launches every plugin, checks the backends' settings against what
// the plugins publish and hands them over, as a first call would. The error
// joins one *atom.OpError for each backend that did not get ready, in the
// config's order; what settings are wrong is in it as Settings told it.
func (e *Engine) Validate(ctx context.Context) error {
	errs := make([]error, len(e.backends))
	each(e.backends, func(n int, b *backend) {
		_, err := b.instance(ctx)
		errs[n] = opError("start", b.conf.Name, "", err)
	})
	return errors.Join(errs...)
}

// find returns the backend of a name or alias.
func (e *Engine) find(name string) (*backend, error) {
	b, ok := e.byName[name]
	if !ok {
		return nil, e.noBackend(name)
	}
	return b, nil
}

// named returns the backends of these names, all where there are none.
func (e *Engine) named(names []string) ([]*backend, error) {
	if len(names) == 0 {
		return e.backends, nil
	}
	var bs []*backend
	for _, name := range names {
		b, err := e.find(name)
		if err != nil {
			return nil, err
		}
		bs = append(bs, b)
	}
	return bs, nil
}

func (e *Engine) noBackend(name string) error {
	var known []string
	for _, b := range e.backends {
		known = append(known, b.conf.Name)
	}
	hint := "the backends are " + strings.Join(known, ", ")
	if near := Nearest(name, known); near != "" {
		hint = fmt.Sprintf("did you mean %q?", near)
	}
	return atom.Errorf(errdefs.ErrNotFound, "there is no backend %s; %s", quote(name), hint)
}
