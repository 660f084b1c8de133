package router

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/containerd/errdefs"
	"github.com/hashicorp/go-hclog"

	"github.com/atom-router/atom-router/atom"
)

const (
	// A plugin whose process does not answer so many health calls in a row,
	// each within the timeout, hangs and is replaced.
	pingInterval = 5 * time.Second
	pingTimeout  = 2 * time.Second
	pingMisses   = 3
)

// supervisor keeps what serves a backend alive: it starts it when a call needs
// it, hands out the current instance, and starts another when that one died.
type supervisor struct {
	log   hclog.Logger
	start func(context.Context) (*instance, error)
	// startTimeout bounds start.
	startTimeout time.Duration
	pingEvery    time.Duration
	// patience, where it is not 0, is of a daemon that is dialled and not
	// launched: how long it may be away before the backend has failed. The
	// breaker is for plugins.
	patience time.Duration
	// dirs are where start looks for the plugin.
	dirs []string
	// attached says that somebody else starts and ends the plugin, changed
	// perhaps: it is tried again soon, whatever was wrong.
	attached bool

	// life ends with the router; wg counts the goroutines that it owns: one
	// for a launch under way, one for each live plugin.
	life context.Context
	end  context.CancelFunc
	wg   sync.WaitGroup

	// users counts the calls that hold the backend, and leftAt is when a
	// reload took it out. The Engine's mu guards both.
	users  int
	leftAt time.Time

	current atomic.Pointer[instance] // nil while there is none
	// degraded mirrors state == Degraded for calls that only want to know
	// whether there is something to report.
	degraded atomic.Bool

	mu       sync.Mutex
	closed   bool
	launch   *launch // under way, or nil
	state    BackendState
	since    time.Time
	lastErr  error
	launches int
	troubles int  // ends and failed launches in a row, for backoff
	unready  int  // launches in a row that never got ready, for the breaker
	lost     bool // the last trouble was the end of a plugin that had been ready
	lostAt   time.Time
	retryAt  time.Time
}

// launch is one attempt to start a backend. inst and err are set before done
// is closed.
type launch struct {
	done chan struct{}
	inst *instance
	err  error
}

func newSupervisor(log hclog.Logger, startTimeout time.Duration, start func(context.Context) (*instance, error)) *supervisor {
	s := &supervisor{log: log, start: start, startTimeout: startTimeout, pingEvery: pingInterval, state: Idle, since: time.Now()}
	s.life, s.end = context.WithCancel(context.Background())
	return s
}

// instance returns the running instance, starting one if there is none. Any
// number of callers share one start; ctx ends the caller's wait and not the
// start. Errors other than ctx's mean that nothing was asked of the backend.
func (s *supervisor) instance(ctx context.Context) (*instance, error) {
	if i := s.current.Load(); i != nil && !i.dead() {
		return i, nil
	}
	for {
		l, wait, err := s.ask()
		if err != nil {
			return nil, err
		}
		if l == nil {
			if err := s.sleep(ctx, wait); err != nil {
				return nil, err
			}
			continue
		}
		select {
		case <-l.done:
			if l.err != nil && s.expected() {
				continue
			}
			return l.inst, l.err
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// ask returns the launch to wait for, or how long to wait before asking
// again, or why not to.
func (s *supervisor) ask() (*launch, time.Duration, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, 0, errClosed()
	}
	i := s.current.Load()
	if i != nil && !i.dead() {
		return &launch{done: closedChan, inst: i}, 0, nil
	}
	if i != nil { // seen here before its watcher saw it
		s.bury(i, nil)
	}
	if s.launch != nil {
		return s.launch, 0, nil
	}
	if wait := time.Until(s.retryAt); wait > 0 {
		if s.lost && wait <= restartWait {
			return nil, wait, nil
		}
		return nil, 0, s.lastErr
	}
	s.begin()
	return s.launch, 0, nil
}

// closedChan is the done of a launch that was over before it was asked for.
var closedChan = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

func errClosed() error {
	return atom.Errorf(errdefs.ErrUnavailable, "the router is closed")
}

// begin starts a launch. Called with mu held.
func (s *supervisor) begin() {
	l := &launch{done: make(chan struct{})}
	s.launch = l
	s.launches++
	s.turn(Starting, nil)
	s.wg.Go(func() {
		ctx, cancel := context.WithTimeout(s.life, s.startTimeout)
		defer cancel()
		inst, err := s.start(ctx)
		s.started(l, inst, err)
	})
}

// started notes how a launch went and wakes those who wait for it.
func (s *supervisor) started(l *launch, inst *instance, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer close(l.done)
	s.launch = nil
	switch {
	case s.closed:
		l.err = errClosed()
		if err == nil {
			s.wg.Go(func() { s.dispose(inst) })
		}
	case err != nil:
		l.err = unavailable(err)
		s.troubles++
		s.unready++
		s.retry(l.err)
	default:
		l.inst = inst
		s.unready, s.lostAt = 0, time.Time{}
		s.current.Store(inst)
		s.turn(Ready, nil)
		if inst.done != nil {
			s.wg.Go(func() { s.watch(inst) })
		}
	}
}

// watch waits for an instance's end, or the router's, and clears it away. One
// that hangs, stopped or deadlocked, it ends.
func (s *supervisor) watch(inst *instance) {
	defer s.dispose(inst)
	tick := time.NewTicker(s.pingEvery)
	defer tick.Stop()
	for misses := 0; ; {
		select {
		case <-inst.done:
			s.mu.Lock()
			s.bury(inst, nil)
			s.mu.Unlock()
			return
		case <-s.life.Done():
			return
		case <-tick.C:
		}
		ctx, cancel := context.WithTimeout(s.life, pingTimeout)
		err := inst.ping(ctx)
		cancel()
		if misses++; err == nil || errors.Is(err, errNotServing) {
			misses = 0
		}
		if misses == pingMisses && s.life.Err() == nil && !inst.dead() {
			s.mu.Lock()
			s.bury(inst, atom.Errorf(errdefs.ErrUnavailable, "%s hangs: %d health calls in a row had no answer: %w", s.what(), misses, err))
			s.mu.Unlock()
			return
		}
	}
}

// what stands at the other end, for messages.
func (s *supervisor) what() string {
	if s.patience > 0 {
		return "the daemon"
	}
	return "the plugin"
}

func (s *supervisor) dispose(inst *instance) {
	if inst.close == nil {
		return
	}
	if err := inst.close(); err != nil {
		s.log.Debug("closing the plugin", "error", err)
	}
}

// bury notes an instance's end, for the reason that err gives or that it has
// itself. Called with mu held, by whoever sees the end first.
func (s *supervisor) bury(inst *instance, err error) {
	if s.closed || !s.current.CompareAndSwap(inst, nil) {
		return
	}
	if time.Since(inst.began) >= stableAfter {
		s.troubles = 0
	}
	s.retryAt = time.Now().Add(s.pause())
	s.troubles++
	s.lost, s.lostAt = true, time.Now()
	if err == nil && inst.why != nil {
		err = inst.why()
	}
	if err == nil {
		err = atom.Errorf(errdefs.ErrUnavailable, "%s ended", s.what())
	}
	s.turn(BackingOff, unavailable(err))
}

// turn changes the state. Called with mu held.
func (s *supervisor) turn(to BackendState, err error) {
	if err != nil {
		s.lastErr = err
	}
	s.degraded.Store(to == Degraded)
	if s.state == to {
		return
	}
	from := s.state
	s.state, s.since = to, time.Now()
	switch {
	case err != nil && !s.closed:
		s.log.Warn("backend is "+string(to), "was", from, "error", err)
	case to == Ready && from != Starting:
		s.log.Info("backend is ready", "was", from)
	default:
		s.log.Debug("backend is "+string(to), "was", from)
	}
}

// note takes in how a probe of inst went; that a call succeeded tells as much.
func (s *supervisor) note(inst *instance, err error) {
	down := errdefs.IsUnavailable(err)
	if down == s.degraded.Load() {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current.Load() != inst || inst.dead() {
		return
	}
	if down {
		s.turn(Degraded, err)
	} else {
		s.turn(Ready, nil)
	}
}

// bound is ctx for a call of an instance, which ends with the backend as well:
// an engine in this process does not end with its plugin.
func (s *supervisor) bound(ctx context.Context, i *instance) (context.Context, context.CancelFunc) {
	if i.done != nil {
		return ctx, func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(s.life, cancel)
	return ctx, func() { stop(); cancel() }
}

// endOf is the error of a call that failed with err: that of ctx where that
// has ended, and that the router is closed where the backend has.
func (s *supervisor) endOf(ctx context.Context, err error) error {
	if s.life.Err() != nil && ctx.Err() == nil && !errors.Is(err, io.EOF) {
		return errClosed()
	}
	return ended(ctx, err)
}

// close ends the backend's plugin and refuses what comes after. It returns
// when every goroutine of the backend has ended.
func (s *supervisor) close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.end()
	s.wg.Wait()
	s.current.Store(nil)
}
