package router

import (
	"context"
	"errors"
	"sync"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/internal/backoff"
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
	options Options
	// reloading holds one token: one Reload at a time.
	reloading chan struct{}
	// replaced tells the janitor of a Reload.
	replaced chan struct{}

	life context.Context
	end  context.CancelFunc
	wg   sync.WaitGroup // the janitor, and backends that are being closed
	// tidying are those that remove what cancelled Creates made.
	tidying sync.WaitGroup
	// failovers is what all Creates may spend on asking further backends.
	failovers backoff.Failovers

	mu      sync.Mutex // guards what follows, and what supervisors say it does
	closed  bool
	now     *table
	leaving []*backend      // that a Reload took out, while they are held
	left    map[string]bool // their names and aliases, for ever
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
	e := &Engine{
		options: options.withDefaults(), reloading: make(chan struct{}, 1), replaced: make(chan struct{}, 1),
		left: make(map[string]bool),
	}
	var err error
	if e.now, _, err = newTable(config, e.options, nil); err != nil {
		return nil, err
	}
	e.life, e.end = context.WithCancel(context.Background())
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
	e.mu.Lock()
	e.closed = true
	e.mu.Unlock()
	e.end() // a Reload that is under way, too
	e.reloading <- struct{}{}
	defer func() { <-e.reloading }()
	e.mu.Lock()
	all := append(e.now.backends[:len(e.now.backends):len(e.now.backends)], e.leaving...)
	e.mu.Unlock()
	e.tidying.Wait()
	each(all, func(_ int, b *backend) { b.close() })
	e.wg.Wait()
	return nil
}

// Validate launches every plugin, checks the backends' settings against what
// the plugins publish and hands them over, as a first call would. The error
// joins one *atom.OpError for each backend that did not get ready, in the
// config's order; what settings are wrong is in it as Settings told it.
func (e *Engine) Validate(ctx context.Context) error {
	t, release := e.hold()
	defer release()
	errs := make([]error, len(t.backends))
	each(t.backends, func(n int, b *backend) {
		_, err := b.instance(ctx)
		errs[n] = opError("start", b.conf.Name, "", err)
	})
	return errors.Join(errs...)
}
