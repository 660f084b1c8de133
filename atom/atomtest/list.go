package atomtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/atom-router/atom-router/atom"
)

func listPromises() []Promise {
	return []Promise{
		{Name: "a list shows the owner's atoms, stopped ones too, oldest first", Check: func(ctx context.Context, e *Env) error {
			three, err := e.three(ctx)
			if err != nil {
				return err
			}
			if _, err := e.Wait(ctx, three[0].ID()); err != nil {
				return err
			}
			list, err := e.List(ctx, time.Time{}, time.Time{})
			if err != nil {
				return err
			}
			if err := sorted(list); err != nil {
				return err
			}
			last := -1
			for n, a := range three {
				i := index(list, a.ID())
				if i <= last {
					return fmt.Errorf("atom %d of three stands at %d of the list, after %d", n, i, last)
				}
				last = i
				if !list[i].CreatedAt().Equal(a.CreatedAt()) {
					return fmt.Errorf("created at %v by create, at %v by list", a.CreatedAt(), list[i].CreatedAt())
				}
			}
			if i := index(list, three[0].ID()); list[i].State() != atom.Stopped || list[i].Result() != atom.Success {
				return fmt.Errorf("a stopped atom is listed as %s", describe(list[i]))
			}
			return nil
		}},
		{Name: "a list takes its first moment in and leaves its last one out, to the nanosecond", Check: func(ctx context.Context, e *Env) error {
			three, err := e.three(ctx)
			if err != nil {
				return err
			}
			var t [3]time.Time
			for i, a := range three {
				t[i] = a.CreatedAt()
			}
			elsewhere := time.FixedZone("elsewhere", 5*3600+1800)
			for _, c := range []struct {
				what          string
				since, before time.Time
				want          [3]bool
			}{
				{"since the first", t[0], time.Time{}, [3]bool{true, true, true}},
				{"since the second", t[1], time.Time{}, [3]bool{false, true, true}},
				{"since 1 ns after the second", t[1].Add(1), time.Time{}, [3]bool{false, false, true}},
				{"before the second", time.Time{}, t[1], [3]bool{true, false, false}},
				{"before 1 ns after the second", time.Time{}, t[1].Add(1), [3]bool{true, true, false}},
				{"from the first to the third", t[0], t[2], [3]bool{true, true, false}},
				{"the second's nanosecond", t[1], t[1].Add(1), [3]bool{false, true, false}},
				{"an empty interval", t[1], t[1], [3]bool{}},
				{"an interval that ends before it begins", t[2], t[0], [3]bool{}},
				{"since the second, in another time zone", t[1].In(elsewhere), time.Time{}, [3]bool{false, true, true}},
			} {
				list, err := e.List(ctx, c.since, c.before)
				if err != nil {
					return fmt.Errorf("%s: %w", c.what, err)
				}
				for i, a := range three {
					if got := index(list, a.ID()) >= 0; got != c.want[i] {
						return fmt.Errorf("%s: atom %d of three is listed: %v; want %v (created %v, %v, %v)", c.what, i+1, got, c.want[i], t[0], t[1], t[2])
					}
				}
				for _, a := range list {
					if at := a.CreatedAt(); !c.since.IsZero() && at.Before(c.since) || !c.before.IsZero() && !at.Before(c.before) {
						return fmt.Errorf("%s: an atom of %v is listed", c.what, at)
					}
				}
			}
			return nil
		}},
		{Name: "a list says of an atom what a get says", Check: func(ctx context.Context, e *Env) error {
			r := e.Request("exit", "3")
			r.Name = "listed"
			a, _, err := e.Finish(ctx, r)
			if err != nil {
				return err
			}
			list, err := e.List(ctx, a.CreatedAt(), a.CreatedAt().Add(1))
			if err != nil {
				return err
			}
			i := index(list, a.ID())
			if i < 0 {
				return errors.New("the atom is not listed")
			}
			got, want := atom.InfoOf(list[i]), atom.InfoOf(a)
			if got.Name != want.Name || got.Image != want.Image || !got.StartedAt.Equal(want.StartedAt) || !got.StoppedAt.Equal(want.StoppedAt) {
				return fmt.Errorf("listed as %+v; it is %+v", got, want)
			}
			return ended(list[i], atom.Failure, 3)
		}},
		{Name: "a list taken as it is found holds the same atoms, each once", Check: func(ctx context.Context, e *Env) error {
			three, err := e.three(ctx)
			if err != nil {
				return err
			}
			r := &atom.EngineListRequest{Since: three[0].CreatedAt(), Before: three[2].CreatedAt(), Owner: e.Owner, Context: ctx}
			var found []atom.Atom
			var inside, over atomic.Bool
			if err := atom.StreamList(e.Engine, r, func(a atom.Atom) error {
				if inside.Swap(true) || over.Load() {
					return errors.New("told of two at once, or after the end")
				}
				found = append(found, a)
				inside.Store(false)
				return nil
			}); err != nil {
				return fmt.Errorf("stream: %w", err)
			}
			over.Store(true)
			slices.SortFunc(found, atom.CompareAge)
			if err := sorted(found); err != nil {
				return err
			}
			for i, want := range []bool{true, true, false} {
				if got := index(found, three[i].ID()) >= 0; got != want {
					return fmt.Errorf("from the first to before the third: atom %d of three is found: %v", i+1, got)
				}
			}
			enough := errors.New("that is enough")
			calls := 0
			err = atom.StreamList(e.Engine, r, func(atom.Atom) error { calls++; return enough })
			if err != enough || calls != 1 {
				return fmt.Errorf("found's error at the first atom ends it after %d, with %w", calls, errors.Join(err))
			}
			return nil
		}},
		{Name: "a list of an owner without atoms is empty and no error", Check: func(ctx context.Context, e *Env) error {
			list, err := e.Engine.List(&atom.EngineListRequest{Owner: "nobody-at-all", Context: ctx})
			if err != nil || len(list) != 0 {
				return fmt.Errorf("%d atoms, %w", len(list), errors.Join(err))
			}
			return nil
		}},
		{Name: "a list goes on while atoms come and go", Needs: []atom.Capability{atom.CapDelete}, Check: func(ctx context.Context, e *Env) error {
			stays, err := e.Start(ctx, "sleep", long)
			if err != nil {
				return err
			}
			done := make(chan error, 1)
			go func() { // ends after three atoms
				for range 3 {
					a, err := e.Start(ctx)
					if err == nil {
						err = e.Delete(ctx, a.ID(), true)
					}
					if err != nil {
						done <- err
						return
					}
				}
				done <- nil
			}()
			// One list on the other's heels would keep a backend from the atoms.
			return poll(ctx, "atoms to come and go", func() (bool, error) {
				list, err := e.List(ctx, stays.CreatedAt(), time.Time{})
				if err != nil {
					return false, err
				}
				if index(list, stays.ID()) < 0 {
					return false, errors.New("an atom that stayed was missing")
				}
				select {
				case err := <-done:
					return true, err
				default:
					return false, nil
				}
			})
		}},
	}
}

// three are atoms created one after the other; the first ends on its own.
func (e *Env) three(ctx context.Context) ([]atom.Atom, error) {
	var atoms []atom.Atom
	for i := range 3 {
		args := []string{"sleep", long}
		if i == 0 {
			args = []string{"print", "x"}
		}
		a, err := e.Start(ctx, args...)
		if err != nil {
			return nil, err
		}
		if i > 0 && !a.CreatedAt().After(atoms[i-1].CreatedAt()) {
			return nil, fmt.Errorf("an atom made after another was created at %v, the other at %v", a.CreatedAt(), atoms[i-1].CreatedAt())
		}
		atoms = append(atoms, a)
	}
	return atoms, nil
}

// sorted says whether a list is oldest first, each atom once.
func sorted(list []atom.Atom) error {
	seen := make(map[string]bool)
	for i, a := range list {
		if i > 0 && a.CreatedAt().Before(list[i-1].CreatedAt()) {
			return fmt.Errorf("an atom of %v stands after one of %v", a.CreatedAt(), list[i-1].CreatedAt())
		}
		if seen[a.ID()] {
			return fmt.Errorf("atom %s is listed twice", a.ID())
		}
		seen[a.ID()] = true
	}
	return nil
}
