package router

import (
	"context"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/containerd/errdefs"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/internal/backoff"
)

// instance is one life of a backend: an engine in this process, or behind a
// plugin process that was launched and configured. Whoever holds one may call
// it; its backend replaces it when it dies.
type instance struct {
	engine atom.Engine
	// most is what the engine can do at best, before it was probed.
	most    atom.Capabilities
	plugin  string // as the plugin calls itself; "" inside this process
	version string
	// done is closed when the engine is gone for good; nil where it cannot
	// be. why says why afterwards.
	done  <-chan struct{}
	why   func() error
	close func() error
	// ping asks the process, and nothing behind it, whether it answers; nil
	// where done is.
	ping func(context.Context) error
	// patience is how long a probe may take.
	patience time.Duration

	// renew is how long what it can do is believed; 0 is for ever.
	renew time.Duration

	began  time.Time
	probed atomic.Pointer[probe]
	asking chan struct{} // holds one token: one probe at a time
}

// probe is what a backend said that it can do, or why it did not say.
type probe struct {
	can atom.Capabilities
	err error
	at  time.Time
	// doubted says that it may not hold any more.
	doubted bool
	// failures counts those in a row, and until then who can go elsewhere
	// leaves the backend alone.
	failures int
	until    time.Time
}

const (
	probeTimeout = 5 * time.Second
	// A failed probe is believed this long, so that many calls at a dead
	// daemon wait once.
	probeErrorKept = time.Second
)

func newInstance(engine atom.Engine) *instance {
	return &instance{engine: engine, patience: probeTimeout, began: time.Now(), asking: make(chan struct{}, 1)}
}

// dead reports whether the engine is gone.
func (i *instance) dead() bool {
	select {
	case <-i.done:
		return true
	default:
		return false
	}
}

// lossSeen is how long after its connection a plugin's process may end. It is
// long, as nothing is to be had from a plugin without a connection.
const lossSeen = 2 * time.Second

// gone reports whether the engine is gone or going: a broken connection is
// seen before the end of the process behind it. An engine that answers a ping
// is not. ctx ends the wait.
func (i *instance) gone(ctx context.Context) bool {
	if i.dead() {
		return true
	}
	if i.done == nil || i.ping(ctx) == nil {
		return false
	}
	t := time.NewTimer(lossSeen)
	defer t.Stop()
	select {
	case <-i.done:
		return true
	case <-t.C:
	case <-ctx.Done():
	}
	return false
}

// capabilities returns what the backend can do now. It asks once; the answer
// holds for the instance's life, or until renew. Its error is the prober's (Unavailable where
// nothing answers) or ctx's.
func (i *instance) capabilities(ctx context.Context) (atom.Capabilities, error) {
	if p := i.known(); p != nil {
		return p.can, p.err
	}
	select {
	case i.asking <- struct{}{}:
		defer func() { <-i.asking }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if p := i.known(); p != nil {
		return p.can, p.err
	}
	return i.probe(ctx)
}

// hurried is capabilities for a caller who can go elsewhere: a backend that did
// not answer it asks ever more seldom, and where another caller is asking just
// now it does not wait for what that is told. So one that hangs costs few calls
// a probe's patience.
func (i *instance) hurried(ctx context.Context) (atom.Capabilities, error) {
	if p := i.probed.Load(); p != nil && p.err != nil && (len(i.asking) > 0 || time.Now().Before(p.until)) {
		return p.can, p.err
	}
	return i.capabilities(ctx)
}

// known is the last probe's result while it may be believed.
func (i *instance) known() *probe {
	p := i.probed.Load()
	if p != nil && (p.doubted || p.err != nil && time.Since(p.at) > probeErrorKept || i.outdated(p)) {
		return nil
	}
	return p
}

// outdated reports that what a probe said may have changed since: a daemon gets
// other backends, and is the same.
func (i *instance) outdated(p *probe) bool { return i.renew > 0 && time.Since(p.at) > i.renew }

// doubt forgets the last probe after a call that was Unavailable: the next
// Create asks whether the backend is there before it is asked to make
// anything.
func (i *instance) doubt(err error) {
	if errdefs.IsUnavailable(err) {
		i.probed.Store(nil)
	}
}

// slow has the next Create ask first whether the backend answers, since one
// that is under way takes long: what hangs does not get all those that come
// before the first one has failed. What it can do stays known.
func (i *instance) slow() {
	if p := i.probed.Load(); p != nil && p.err == nil {
		i.probed.CompareAndSwap(p, &probe{can: p.can, at: p.at, doubted: true})
	}
}

// probe asks the backend. An engine that cannot be asked can do what it
// declares.
func (i *instance) probe(ctx context.Context) (atom.Capabilities, error) {
	p := &probe{can: i.most}
	if prober, ok := i.engine.(atom.Prober); ok {
		asked, cancel := context.WithTimeout(ctx, i.patience)
		can, err := prober.Probe(asked)
		late := asked.Err() != nil
		cancel()
		switch {
		case err == nil:
			p.can = can
		case ctx.Err() != nil: // the caller's end says nothing of the backend
			return nil, ctx.Err()
		case errdefs.IsNotImplemented(err):
		case late:
			p.can, p.err = nil, atom.Errorf(errdefs.ErrUnavailable, "no answer to a probe within %v", i.patience)
		default:
			p.can, p.err = nil, err
		}
	}
	p.at = time.Now()
	if p.err != nil {
		if last := i.probed.Load(); last != nil {
			p.failures = last.failures
		}
		p.failures++
		p.until = p.at.Add(backoff.Probe.After(p.failures, rand.Int64N))
	}
	i.probed.Store(p)
	return p.can, p.err
}

// declared is what an engine in this process can do as far as its type shows:
// what every engine of the contract can, and its optional interfaces. An
// engine that can do more is an atom.Prober.
func declared(e atom.Engine) atom.Capabilities {
	can := atom.Capabilities{atom.CapImages, atom.CapMountBind}
	if _, ok := e.(atom.Deleter); ok {
		can = append(can, atom.CapDelete)
	}
	if _, ok := e.(atom.Lookuper); ok {
		can = append(can, atom.CapLookup)
	}
	return can
}

// inProcess is the instance of an engine in this process.
func inProcess(e atom.Engine) *instance {
	i := newInstance(e)
	i.most = declared(e)
	return i
}
