package router

import (
	"context"
	"time"
)

// within is ctx for a call that a time of the router's own bounds, and that
// errLate ends; end releases it. The backend sees the call's end, and is not told
// of the time: a deadline on the wire is a header that differs from call to call,
// and a timer at the plugin.
func within(ctx context.Context, lasts time.Duration) (_ context.Context, end func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	late := time.AfterFunc(lasts, func() { cancel(errLate) })
	return ctx, func() {
		late.Stop()
		cancel(nil)
	}
}
