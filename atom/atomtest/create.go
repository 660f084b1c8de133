package atomtest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/atom-router/atom-router/atom"
)

func createPromises() []Promise {
	return []Promise{
		{Name: "a create gives an atom with an ID and the time it was made", Check: checkCreated},
		{Name: "a create does not wait for the job", Check: func(ctx context.Context, e *Env) error {
			a, err := e.Start(ctx, "sleep", long)
			if err != nil {
				return err
			}
			if a.State() != atom.Created && a.State() != atom.Running {
				return fmt.Errorf("the atom is %s", describe(a))
			}
			return nil
		}},
		{Name: "creates without a key make an atom each", Check: func(ctx context.Context, e *Env) error {
			ids := make([]string, 4)
			err := together(len(ids), func(i int) error {
				a, err := e.Start(ctx)
				if err == nil {
					ids[i] = a.ID()
				}
				return err
			})
			if err != nil {
				return err
			}
			slices.Sort(ids)
			if len(slices.Compact(ids)) != 4 {
				return fmt.Errorf("four creates gave the IDs %q", ids)
			}
			return nil
		}},
		{Name: "a name is kept as given, and two atoms may share it", Check: func(ctx context.Context, e *Env) error {
			for _, name := range []string{"nightly build", "nightly build", "Ünï/cödé: $(X) \"quoted\" = 日本\nline two", strings.Repeat("long ", 60)} {
				r := e.Request()
				r.Name = name
				a, err := e.Create(ctx, r)
				if err != nil {
					return fmt.Errorf("creating with the name %q: %w", name, err)
				}
				got, err := e.Get(ctx, a.ID())
				if err != nil {
					return err
				}
				for _, a := range []atom.Atom{a, got} {
					if atom.InfoOf(a).Name != name {
						return fmt.Errorf("the name is %q; want %q", atom.InfoOf(a).Name, name)
					}
				}
			}
			return nil
		}},
		{Name: "the image is given back as it was asked for", Check: func(ctx context.Context, e *Env) error {
			a, err := e.Start(ctx)
			if err != nil {
				return err
			}
			want := e.Request().Image
			if a, err = e.Get(ctx, a.ID()); err == nil && atom.InfoOf(a).Image != want {
				err = fmt.Errorf("the image is %q; want %q", atom.InfoOf(a).Image, want)
			}
			return err
		}},
		{Name: "labels come back as they were given", Check: func(ctx context.Context, e *Env) error {
			r := e.Request()
			e.Label(r, map[string]string{
				"team": "ml", "empty": "", "example.com/part-of": "Fleet A / 1", "unicode": "größer ∀ 日本", "long": strings.Repeat("x", 500), "lines": "a\nb",
			})
			want := maps.Clone(r.Spec.Labels)
			a, err := e.Create(ctx, r)
			if err != nil {
				return fmt.Errorf("creating: %w", err)
			}
			r.Spec.Labels["team"] = "changed afterwards"
			got, err := e.Get(ctx, a.ID())
			if err != nil {
				return err
			}
			list, err := e.List(ctx, a.CreatedAt(), a.CreatedAt().Add(1))
			if err != nil {
				return err
			}
			i := index(list, a.ID())
			if i < 0 {
				return fmt.Errorf("the list lacks the atom")
			}
			for _, a := range []atom.Atom{a, got, list[i]} {
				if labels := atom.InfoOf(a).Labels; !maps.Equal(labels, want) {
					return fmt.Errorf("the labels are %q; want %q", labels, want)
				}
			}
			return nil
		}},
		{Name: "an atom runs once", Check: func(ctx context.Context, e *Env) error {
			// A backend that restarts what failed would give the line again.
			a, _, err := e.Finish(ctx, e.Request("print", "once", ";", "exit", "1"))
			if err != nil {
				return err
			}
			out, err := e.Read(ctx, a.ID(), nil)
			if err != nil {
				return err
			}
			return same(out, []byte("once\n"))
		}},
		{Name: "a create tells its progress in turn, and not once it has returned", Check: checkProgress},
	}
}

// checkProgress finds nothing where an engine tells none, which it may.
func checkProgress(ctx context.Context, e *Env) error {
	var telling atomic.Int32
	var returned, together, late atomic.Bool
	r := e.Request("exit", "0")
	r.Progress = func(atom.Progress) {
		if telling.Add(1) > 1 {
			together.Store(true)
		}
		if returned.Load() {
			late.Store(true)
		}
		time.Sleep(time.Millisecond) // so that a second one would be met
		telling.Add(-1)
	}
	a, err := e.Create(ctx, r)
	returned.Store(true)
	if err != nil {
		return fmt.Errorf("creating: %w", err)
	}
	if _, err := e.Wait(ctx, a.ID()); err != nil {
		return err
	}
	switch {
	case together.Load():
		return fmt.Errorf("progress was told twice at once")
	case late.Load():
		return fmt.Errorf("progress was told after the create had returned")
	}
	return nil
}

func checkCreated(ctx context.Context, e *Env) error {
	// The backend's clock may be another machine's.
	const skew = time.Minute
	before := time.Now().Add(-skew)
	a, err := e.Start(ctx)
	if err != nil {
		return err
	}
	after := time.Now().Add(skew)
	if err := atom.ValidateID(a.ID()); err != nil {
		return fmt.Errorf("the atom's ID %q: %w", a.ID(), err)
	}
	if at := a.CreatedAt(); at.Before(before) || at.After(after) {
		return fmt.Errorf("created at %v, between %v and %v", at, before, after)
	}
	got, err := e.Get(ctx, a.ID())
	if err != nil {
		return err
	}
	if got.ID() != a.ID() || !got.CreatedAt().Equal(a.CreatedAt()) {
		return fmt.Errorf("create gave %s of %v, get %s of %v", a.ID(), a.CreatedAt(), got.ID(), got.CreatedAt())
	}
	return nil
}
