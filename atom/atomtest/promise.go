package atomtest

import (
	"cmp"
	"context"
	"fmt"
	"runtime/debug"
	"slices"
	"time"

	"github.com/atom-router/atom-router/atom"
)

// Promise is one line of the contract, and how to see whether it is kept.
type Promise struct {
	// Name reads as the promise: "a wait on a stopped atom returns at once".
	Name string
	// Needs are the capabilities without which the promise means nothing.
	Needs []atom.Capability
	// Check returns nil where the promise is kept, and otherwise what was
	// seen instead. It may be called from many goroutines, each with an Env
	// of its own; call it through Verify, which makes that.
	Check func(ctx context.Context, env *Env) error
}

// defaultTimeout is generous: a slow cluster takes seconds for each atom.
const defaultTimeout = 2 * time.Minute

// settle is how much longer than its deadline a check may take: an engine
// that ignores contexts must not hang the run.
const settle = 15 * time.Second

// Verify checks the promise against env: under a deadline, with panics turned
// into errors, and with all atoms removed that the check made. It does not
// look at Needs. It is what drivers call.
func (p Promise) Verify(ctx context.Context, env *Env) error {
	own := *env
	own.session = &session{}
	timeout := cmp.Or(env.Timeout, defaultTimeout)
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	done := make(chan error, 1)
	go func() { // ends with the check; one that hangs is reported below and given up
		defer func() {
			if r := recover(); r != nil {
				done <- fmt.Errorf("panic: %v\n%s", r, debug.Stack())
			}
		}()
		done <- p.Check(ctx, &own)
	}()
	var err error
	select {
	case err = <-done:
	case <-time.After(timeout + settle):
		err = fmt.Errorf("hangs: it did not end within %v of its context's deadline of %v", settle, timeout)
	}
	tidied := make(chan error, 1)
	ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), timeout)
	defer cancel()
	go func() { // ends with the deletes, which have a deadline; as above
		defer func() {
			if r := recover(); r != nil {
				tidied <- fmt.Errorf("panic while removing atoms: %v", r)
			}
		}()
		tidied <- own.tidy(ctx)
	}()
	select {
	case tidyErr := <-tidied:
		if err == nil {
			err = tidyErr
		}
	case <-time.After(timeout + settle):
		if err == nil {
			err = fmt.Errorf("removing atoms after the check hangs")
		}
	}
	return err
}

// Promises returns all promises, in the order of the contract. The list is
// new on each call.
func Promises() []Promise {
	return slices.Concat(
		createPromises(), keyPromises(), lookupPromises(), getPromises(), listPromises(), waitPromises(),
		logsPromises(), logRangePromises(), cursorPromises(), stopPromises(), deletePromises(),
		specPromises(), mountPromises(), resultPromises(), startupPromises(),
		contextPromises(), errorPromises(), ownerPromises(),
	)
}
