package atomtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/atom-router/atom-router/atom"
)

// calls are all calls, with the context each is given.
func (e *Env) calls(id string, key string) map[string]func(context.Context) error {
	calls := map[string]func(context.Context) error{
		"create": func(ctx context.Context) error {
			r := e.Request("sleep", long)
			r.Context = ctx
			a, err := e.Engine.Create(r)
			if err == nil {
				e.track(a.ID(), r.Owner)
			}
			return err
		},
		"list": func(ctx context.Context) error {
			_, err := e.Engine.List(&atom.EngineListRequest{Owner: e.Owner, Context: ctx})
			return err
		},
	}
	for _, op := range []string{"get", "wait", "stop", "logs", "delete"} {
		if e.byID(context.Background())[op] == nil {
			continue
		}
		calls[op] = func(ctx context.Context) error { return e.byID(ctx)[op](e.Owner, id) }
	}
	if l, ok := e.Engine.(atom.Lookuper); ok && e.Capabilities.Has(atom.CapLookup) {
		calls["lookup"] = func(ctx context.Context) error {
			_, err := l.Lookup(&atom.EngineLookupRequest{Key: key, Owner: e.Owner, Context: ctx})
			return err
		}
	}
	return calls
}

func contextPromises() []Promise {
	return []Promise{
		{Name: "every call with a context that is over ends with its error", Check: func(ctx context.Context, e *Env) error {
			a, err := e.Start(ctx, "sleep", long)
			if err != nil {
				return err
			}
			canceled, cancel := context.WithCancel(ctx)
			cancel()
			expired, cancel := context.WithDeadline(ctx, time.Now().Add(-time.Second))
			defer cancel()
			for op, call := range e.calls(a.ID(), "x") {
				for _, over := range []context.Context{canceled, expired} {
					if err := within(prompt, op, func() error { return of(over.Err(), call(over)) }); err != nil {
						return fmt.Errorf("%s: %w", op, err)
					}
				}
			}
			now, err := e.Get(ctx, a.ID())
			if err != nil {
				return err
			}
			if now.State().Done() {
				return fmt.Errorf("a cancelled call left the atom %s", describe(now))
			}
			return nil
		}},
		{Name: "a create that was cancelled leaves nothing under its key", Needs: []atom.Capability{atom.CapLookup}, Check: func(ctx context.Context, e *Env) error {
			over, cancel := context.WithCancel(ctx)
			cancel()
			r := e.keyed("sleep", long)
			r.Context = over
			if _, err := e.Create(ctx, r); err == nil {
				return errors.New("no error")
			}
			return e.nothingLeft(ctx, r)
		}},
		{Name: "a cancelled wait ends with the context's error", Check: func(ctx context.Context, e *Env) error {
			a, err := e.StartReady(ctx, "print", "ready", ";", "sleep", long)
			if err != nil {
				return err
			}
			inner, cancel := context.WithCancel(ctx)
			time.AfterFunc(200*time.Millisecond, cancel)
			defer cancel()
			err = within(prompt, "a cancelled wait", func() error {
				_, err := e.Engine.Wait(&atom.EngineWaitRequest{ID: a.ID(), Owner: e.Owner, Context: inner})
				return of(context.Canceled, err)
			})
			if err != nil {
				return err
			}
			inner, cancel = context.WithTimeout(ctx, 200*time.Millisecond)
			defer cancel()
			return within(prompt, "a wait with a deadline", func() error {
				_, err := e.Engine.Wait(&atom.EngineWaitRequest{ID: a.ID(), Owner: e.Owner, Context: inner})
				return of(context.DeadlineExceeded, err)
			})
		}},
		{Name: "a request without a context is served", Check: func(ctx context.Context, e *Env) error {
			r := e.Request("print", "x")
			if e.Capabilities.Has(atom.CapLookup) {
				r = e.keyed("print", "x")
			}
			a, err := e.Engine.Create(r)
			if err != nil {
				return fmt.Errorf("create: %w", err)
			}
			e.track(a.ID(), r.Owner)
			calls := e.calls(a.ID(), r.Key)
			delete(calls, "create")
			for _, op := range []string{"wait", "get", "list", "lookup", "stop", "logs", "delete"} {
				call := calls[op]
				if call == nil {
					continue
				}
				// The log has one line, so its first read is no io.EOF.
				if err := within(time.Minute, op, func() error { return call(nil) }); err != nil {
					return fmt.Errorf("%s: %w", op, err)
				}
			}
			return nil
		}},
		{Name: "cancelled calls leave no goroutine behind", Check: checkLeaks},
	}
}

// checkLeaks cancels many calls and looks for as many goroutines that have
// one place of birth. Other promises are being checked meanwhile; they start
// a few of each kind, but not that many.
func checkLeaks(ctx context.Context, e *Env) error {
	const many = 60
	a, err := e.StartReady(ctx, "print", "ready", ";", "sleep", long)
	if err != nil {
		return err
	}
	for op, call := range map[string]func(context.Context){
		"wait": func(ctx context.Context) {
			_, _ = e.Engine.Wait(&atom.EngineWaitRequest{ID: a.ID(), Owner: e.Owner, Context: ctx})
		},
		"logs that are read": func(ctx context.Context) {
			logs, err := e.Engine.Logs(&atom.EngineLogsRequest{ID: a.ID(), Owner: e.Owner, Context: ctx})
			if err == nil {
				_, _ = io.Copy(io.Discard, logs)
				logs.Close()
			}
		},
		"logs that are closed": func(ctx context.Context) {
			logs, err := e.Engine.Logs(&atom.EngineLogsRequest{ID: a.ID(), Owner: e.Owner, Context: ctx})
			if err == nil {
				_, _ = logs.Read(make([]byte, 1))
				logs.Close()
			}
		},
	} {
		before := census()
		inner, cancel := context.WithCancel(ctx)
		var calls sync.WaitGroup
		for range many {
			calls.Go(func() { call(inner) })
		}
		time.AfterFunc(300*time.Millisecond, cancel)
		err := within(4*prompt, op, func() error { calls.Wait(); return nil })
		cancel()
		if err != nil {
			return err
		}
		var left error
		deadline, stop := context.WithTimeout(ctx, prompt)
		_ = poll(deadline, "", func() (bool, error) {
			left = nil
			for where, n := range census() {
				if n-before[where] > many/2 {
					left = fmt.Errorf("%d cancelled calls (%s) left %d goroutines created by %s", many, op, n-before[where], where)
				}
			}
			return left == nil, nil
		})
		stop()
		if left != nil {
			return left
		}
	}
	return nil
}
