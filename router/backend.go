package router

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/containerd/errdefs"
	"github.com/hashicorp/go-hclog"

	"github.com/atom-router/atom-router/atom"
)

// BackendState is how a backend does.
type BackendState string

const (
	// Idle backends were not asked for anything yet.
	Idle BackendState = "idle"
	// Starting backends launch or configure their plugin.
	Starting BackendState = "starting"
	// Ready backends answer.
	Ready BackendState = "ready"
	// Degraded backends have a working plugin; what stands behind it does
	// not answer.
	Degraded BackendState = "degraded"
	// BackingOff backends have lost their plugin, or could not start it, and
	// start it again when a call comes after a while.
	BackingOff BackendState = "backing off"
	// Failed backends have given up for longer: their config is wrong, or
	// the plugin did not get ready so many times in a row.
	Failed BackendState = "failed"
)

const (
	// A plugin that lived so long has no part in an earlier trouble.
	stableAfter = time.Minute
	// So many launches in a row that never got ready open the breaker.
	breakerAfter = 5
	// An open breaker lets a launch pass again after this long.
	breakerOpen = time.Minute
	// A call waits at most so long for a lost plugin's turn to be started
	// again; one that could not be started at all fails at once.
	restartWait = 5 * time.Second
	// A plugin whose process does not answer so many health calls in a row,
	// each within the timeout, hangs and is replaced.
	pingInterval = 5 * time.Second
	pingTimeout  = 2 * time.Second
	pingMisses   = 3
)

// backoff is how long to leave a plugin alone after so many troubles in a
// row. The first restart is immediate. Half of it is jitter, so that the
// routers of a fleet do not launch in step.
func backoff(troubles int) time.Duration {
	if troubles == 0 {
		return 0
	}
	d := min(500*time.Millisecond<<min(troubles-1, 7), breakerOpen)
	return d/2 + rand.N(d/2+1)
}

// backend supervises one backend of the config: it starts it when a call
// needs it, hands out the current instance, and starts another when that one
// died.
type backend struct {
	conf  Backend
	log   hclog.Logger
	start func(context.Context) (*instance, error)
	// startTimeout bounds start.
	startTimeout time.Duration
	pingEvery    time.Duration
	room         *room

	// life ends with the router; wg counts the goroutines that it owns: one
	// for a launch under way, one for each live plugin.
	life context.Context
	end  context.CancelFunc
	wg   sync.WaitGroup

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
	retryAt  time.Time
}

// launch is one attempt to start a backend. inst and err are set before done
// is closed.
type launch struct {
	done chan struct{}
	inst *instance
	err  error
}

func newBackend(conf Backend, log hclog.Logger, startTimeout time.Duration, start func(context.Context) (*instance, error)) *backend {
	b := &backend{
		conf: conf, log: log, start: start, startTimeout: startTimeout, pingEvery: pingInterval,
		state: Idle, since: time.Now(),
	}
	b.room = newRoom(conf.MaxAtoms)
	b.life, b.end = context.WithCancel(context.Background())
	return b
}

// instance returns the running instance, starting one if there is none. Any
// number of callers share one start; ctx ends the caller's wait and not the
// start. Errors other than ctx's mean that nothing was asked of the backend.
func (b *backend) instance(ctx context.Context) (*instance, error) {
	if i := b.current.Load(); i != nil && !i.dead() {
		return i, nil
	}
	for {
		l, wait, err := b.ask()
		if err != nil {
			return nil, err
		}
		if l == nil {
			if err := b.sleep(ctx, wait); err != nil {
				return nil, err
			}
			continue
		}
		select {
		case <-l.done:
			return l.inst, l.err
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// ask returns the launch to wait for, or how long to wait before asking
// again, or why not to.
func (b *backend) ask() (*launch, time.Duration, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, 0, errClosed()
	}
	i := b.current.Load()
	if i != nil && !i.dead() {
		return &launch{done: closedChan, inst: i}, 0, nil
	}
	if i != nil { // seen here before its watcher saw it
		b.bury(i, nil)
	}
	if b.launch != nil {
		return b.launch, 0, nil
	}
	if wait := time.Until(b.retryAt); wait > 0 {
		if b.lost && wait <= restartWait {
			return nil, wait, nil
		}
		return nil, 0, b.lastErr
	}
	b.begin()
	return b.launch, 0, nil
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

func (b *backend) sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-b.life.Done():
		return errClosed()
	}
}

// begin starts a launch. Called with mu held.
func (b *backend) begin() {
	l := &launch{done: make(chan struct{})}
	b.launch = l
	b.launches++
	b.turn(Starting, nil)
	b.wg.Go(func() {
		ctx, cancel := context.WithTimeout(b.life, b.startTimeout)
		defer cancel()
		inst, err := b.start(ctx)
		b.started(l, inst, err)
	})
}

// started notes how a launch went and wakes those who wait for it.
func (b *backend) started(l *launch, inst *instance, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	defer close(l.done)
	b.launch = nil
	switch {
	case b.closed:
		l.err = errClosed()
		if err == nil {
			b.wg.Go(func() { b.dispose(inst) })
		}
	case err != nil:
		l.err = unavailable(err)
		b.troubles++
		b.unready++
		b.lost = false
		if errdefs.IsInvalidArgument(l.err) || b.unready >= breakerAfter {
			b.retryAt = time.Now().Add(breakerOpen)
			b.turn(Failed, l.err)
		} else {
			b.retryAt = time.Now().Add(backoff(b.troubles))
			b.turn(BackingOff, l.err)
		}
	default:
		l.inst = inst
		b.unready = 0
		b.current.Store(inst)
		b.turn(Ready, nil)
		if inst.done != nil {
			b.wg.Go(func() { b.watch(inst) })
		}
	}
}

// watch waits for an instance's end, or the router's, and clears it away. One
// that hangs, stopped or deadlocked, it ends.
func (b *backend) watch(inst *instance) {
	defer b.dispose(inst)
	tick := time.NewTicker(b.pingEvery)
	defer tick.Stop()
	for misses := 0; ; {
		select {
		case <-inst.done:
			b.mu.Lock()
			b.bury(inst, nil)
			b.mu.Unlock()
			return
		case <-b.life.Done():
			return
		case <-tick.C:
		}
		ctx, cancel := context.WithTimeout(b.life, pingTimeout)
		err := inst.ping(ctx)
		cancel()
		if misses++; err == nil {
			misses = 0
		}
		if misses == pingMisses && b.life.Err() == nil && !inst.dead() {
			b.mu.Lock()
			b.bury(inst, atom.Errorf(errdefs.ErrUnavailable, "the plugin hangs: %d health calls in a row had no answer: %w", misses, err))
			b.mu.Unlock()
			return
		}
	}
}

func (b *backend) dispose(inst *instance) {
	if inst.close == nil {
		return
	}
	if err := inst.close(); err != nil {
		b.log.Debug("closing the plugin", "error", err)
	}
}

// bury notes an instance's end, for the reason that err gives or that it has
// itself. Called with mu held, by whoever sees the end first.
func (b *backend) bury(inst *instance, err error) {
	if b.closed || !b.current.CompareAndSwap(inst, nil) {
		return
	}
	if time.Since(inst.began) >= stableAfter {
		b.troubles = 0
	}
	b.retryAt = time.Now().Add(backoff(b.troubles))
	b.troubles++
	b.lost = true
	if err == nil && inst.why != nil {
		err = inst.why()
	}
	if err == nil {
		err = atom.Errorf(errdefs.ErrUnavailable, "the plugin ended")
	}
	b.turn(BackingOff, unavailable(err))
}

// turn changes the state. Called with mu held.
func (b *backend) turn(s BackendState, err error) {
	if err != nil {
		b.lastErr = err
	}
	b.degraded.Store(s == Degraded)
	if b.state == s {
		return
	}
	from := b.state
	b.state, b.since = s, time.Now()
	switch {
	case err != nil && !b.closed:
		b.log.Warn("backend is "+string(s), "was", from, "error", err)
	case s == Ready && from != Starting:
		b.log.Info("backend is ready", "was", from)
	default:
		b.log.Debug("backend is "+string(s), "was", from)
	}
}

// note takes in how a probe of inst went; that a call succeeded tells as much.
func (b *backend) note(inst *instance, err error) {
	down := errdefs.IsUnavailable(err)
	if down == b.degraded.Load() {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.current.Load() != inst || inst.dead() {
		return
	}
	if down {
		b.turn(Degraded, err)
	} else {
		b.turn(Ready, nil)
	}
}

// close ends the backend's plugin and refuses what comes after. It returns
// when every goroutine of the backend has ended.
func (b *backend) close() {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	b.end()
	b.wg.Wait()
	b.current.Store(nil)
}

// health is what is known without asking.
func (b *backend) health() Health {
	var h Health
	if i := b.current.Load(); i != nil {
		if p := i.probed.Load(); p != nil {
			h.Capabilities = p.can
		}
	}
	if b.conf.Drain {
		h.Cause, h.Reason = Unavailable, "drains"
		return h
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.launch == nil && !b.lost && time.Until(b.retryAt) > 0 {
		h.Cause, h.Reason = Unavailable, b.lastErr.Error()
	}
	return h
}
