package atomtest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/atom-router/atom-router/atom"
)

func ownerPromises() []Promise {
	return []Promise{
		{Name: "another owner's atom does not exist for any call", Check: func(ctx context.Context, e *Env) error {
			theirs, err := e.foreign(ctx)
			if err != nil {
				return err
			}
			for op, call := range e.byID(ctx) {
				if err := notFound(call(e.Owner, theirs.ID())); err != nil {
					return fmt.Errorf("%s: %w", op, err)
				}
			}
			now, err := e.Engine.Get(&atom.EngineGetRequest{ID: theirs.ID(), Owner: foreignOwner, Context: ctx})
			if err != nil {
				return fmt.Errorf("get by its own owner: %w", err)
			}
			if now.State().Done() {
				return fmt.Errorf("what was not ours is %s after our calls", describe(now))
			}
			return nil
		}},
		{Name: "another owner's atoms are not listed", Check: func(ctx context.Context, e *Env) error {
			theirs, err := e.foreign(ctx)
			if err != nil {
				return err
			}
			ours, err := e.Start(ctx)
			if err != nil {
				return err
			}
			list, err := e.List(ctx, time.Time{}, time.Time{})
			if err != nil {
				return err
			}
			if index(list, theirs.ID()) >= 0 {
				return errors.New("the list shows an atom of another owner")
			}
			theirList, err := e.Engine.List(&atom.EngineListRequest{Owner: foreignOwner, Context: ctx})
			if err != nil {
				return fmt.Errorf("list: %w", err)
			}
			if index(theirList, ours.ID()) >= 0 || index(theirList, theirs.ID()) < 0 {
				return errors.New("the other owner's list shows ours, or not its own")
			}
			return nil
		}},
		{Name: "another owner's atom is not found by its key", Needs: []atom.Capability{atom.CapLookup}, Check: func(ctx context.Context, e *Env) error {
			r := e.keyed("sleep", long)
			r.Owner = foreignOwner
			if _, err := e.Create(ctx, r); err != nil {
				return err
			}
			if _, err := e.lookup(ctx, foreignOwner, r.Key); err != nil {
				return fmt.Errorf("lookup by its own owner: %w", err)
			}
			_, err := e.Lookup(ctx, r.Key)
			return notFound(err)
		}},
		{Name: "an owner that differs in case or length is another", Check: func(ctx context.Context, e *Env) error {
			r := e.Request("sleep", long)
			r.Owner = "Fleet-A"
			a, err := e.Create(ctx, r)
			if err != nil {
				return err
			}
			for _, other := range []string{"fleet-a", "Fleet", "Fleet-AA", "Fleet-A.x"} {
				_, err := e.Engine.Get(&atom.EngineGetRequest{ID: a.ID(), Owner: other, Context: ctx})
				if err := notFound(err); err != nil {
					return fmt.Errorf("get as %q of what is %q's: %w", other, r.Owner, err)
				}
			}
			return nil
		}},
	}
}

// foreign creates an atom of another owner.
func (e *Env) foreign(ctx context.Context) (atom.Atom, error) {
	r := e.Request("print", "ready", ";", "sleep", long)
	r.Owner = foreignOwner
	a, err := e.Create(ctx, r)
	if err != nil {
		return nil, fmt.Errorf("creating as another owner: %w", err)
	}
	return a, nil
}
