package exam

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/hashicorp/go-hclog"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/atom/atomtest"
	"github.com/atom-router/atom-router/plugin"
	"github.com/atom-router/atom-router/router"
)

// endTime is how much later than by its calls a process's end may be noticed.
const endTime = 300 * time.Millisecond

// sweepTime bounds the removal of what is left of an exam.
const sweepTime = time.Minute

// candidate keeps one configured process of the plugin running: where a
// promise is broken so badly that the process ends, the next ones still get
// their answers. It may be used from any number of goroutines.
type candidate struct {
	command  []string
	settings router.Settings
	log      hclog.Logger

	mu      sync.Mutex
	process *plugin.Process // nil before the first
	decoded []byte          // what that was configured with
}

// alive returns a process that has not ended, as far as one can tell.
func (c *candidate) alive(ctx context.Context) (*plugin.Process, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.process != nil && !hasEnded(c.process) {
		return c.process, nil
	}
	if c.process != nil {
		_ = c.process.Close() // it has ended
		c.process = nil
	}
	p, err := plugin.Launch(ctx, plugin.LaunchOptions{Path: c.command[0], Args: c.command[1:], Logger: c.log})
	if err != nil {
		return nil, err
	}
	config, err := c.config(p.Description().Schema)
	if err == nil {
		err = p.Configure(ctx, config)
		if err != nil && c.settings != nil && errdefs.IsInvalidArgument(err) {
			err = c.settings.Explain(err)
		}
	}
	if err != nil {
		return nil, errors.Join(err, p.Close())
	}
	c.process, c.decoded = p, config
	return p, nil
}

// config is what Configure gets.
func (c *candidate) config(schema plugin.Schema) ([]byte, error) {
	if c.settings == nil {
		return []byte("{}"), nil
	}
	return c.settings.Decode(schema)
}

func hasEnded(p *plugin.Process) bool {
	select {
	case <-p.Done():
		return true
	default:
		return false
	}
}

// endedError is a check's error when the plugin's process has ended under it.
type endedError struct{ err, end error }

func (e *endedError) Error() string   { return fmt.Sprintf("%v\nmeanwhile %v", e.err, e.end) }
func (e *endedError) Unwrap() []error { return []error{e.err, e.end} }

// verify checks a promise on the running process. Its error is an *endedError
// where that has ended meanwhile.
func (c *candidate) verify(ctx context.Context, promise atomtest.Promise, env *atomtest.Env) error {
	p, err := c.alive(ctx)
	if err != nil {
		return err
	}
	own := *env
	own.Engine = p.Engine()
	if err = promise.Verify(ctx, &own); err == nil {
		return nil
	}
	select {
	case <-p.Done():
		return &endedError{err, p.Err()}
	case <-time.After(endTime):
		return err
	}
}

// sweep removes what atoms are left of the exam: those of a Create whose
// answer was lost, and those of an engine that cannot delete, which are
// stopped at least. It works on after ctx is over.
func (c *candidate) sweep(ctx context.Context, env *atomtest.Env) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), sweepTime)
	defer cancel()
	p, err := c.alive(ctx)
	if err != nil {
		return fmt.Errorf("looking for atoms that are left: %w", err)
	}
	atoms, err := p.Engine().List(&atom.EngineListRequest{Owner: env.Owner, Context: ctx})
	if err != nil {
		return fmt.Errorf("looking for atoms that are left: %w", err)
	}
	var errs []error
	for _, a := range atoms {
		if env.Capabilities.Has(atom.CapDelete) {
			err = p.Engine().Delete(&atom.EngineDeleteRequest{ID: a.ID(), Owner: env.Owner, Force: true, Context: ctx})
		} else {
			err = p.Engine().Stop(&atom.EngineStopRequest{ID: a.ID(), Owner: env.Owner, Force: true, Context: ctx})
		}
		if err != nil && !errdefs.IsNotFound(err) {
			errs = append(errs, fmt.Errorf("atom %s is left: %w", a.ID(), err))
		}
	}
	return errors.Join(errs...)
}

func (c *candidate) close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.process == nil {
		return nil
	}
	return c.process.Close()
}
