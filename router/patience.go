package router

import (
	"context"
	"sync/atomic"
	"time"
)

// patience bounds short calls by a time of the router's own, or at most an
// eighth more, without a timer for each: those that begin close together share
// one. A timer of its own is mostly the next that is due, so that the runtime
// wakes a thread for it; and a deadline that is told to the backend is a header
// that differs from call to call, and a timer there. The backend sees the
// call's end instead.
type patience struct{ now atomic.Pointer[turn] }

// turn is for the calls that begin close together; over ends when they have
// taken too long.
type turn struct {
	began time.Time
	over  context.Context
}

// bound is ctx for such a call, which errLate ends; end releases it.
func (p *patience) bound(ctx context.Context, lasts time.Duration) (_ context.Context, end func()) {
	t := p.now.Load()
	if t == nil || time.Since(t.began) > lasts/8 {
		over, end := context.WithCancel(context.Background())
		time.AfterFunc(lasts+lasts/8, end)
		t = &turn{time.Now(), over}
		p.now.Store(t)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(t.over, func() { cancel(errLate) })
	return ctx, func() {
		stop()
		cancel(nil)
	}
}
