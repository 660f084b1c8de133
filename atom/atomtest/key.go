package atomtest

import (
	"context"
	"fmt"
	"strings"

	"github.com/containerd/errdefs"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/atom/container"
)

// keyed is a request under a new key.
func (e *Env) keyed(args ...string) *atom.EngineCreateRequest {
	r := e.Request(args...)
	r.Key = "atomtest " + atom.NewKey()
	return r
}

// again is a copy of a request, for a second create.
func again(r *atom.EngineCreateRequest) *atom.EngineCreateRequest {
	c := *r
	c.Context = nil
	c.Spec = r.Spec.Clone()
	return &c
}

func keyPromises() []Promise {
	needs := []atom.Capability{atom.CapLookup}
	return []Promise{
		{"the same key and request give the same atom, also once it has stopped", needs, func(ctx context.Context, e *Env) error {
			r := e.keyed("print", "x")
			first, err := e.Create(ctx, r)
			if err != nil {
				return err
			}
			second, err := e.Create(ctx, again(r))
			if err != nil {
				return fmt.Errorf("the second create: %w", err)
			}
			if _, err := e.Wait(ctx, first.ID()); err != nil {
				return err
			}
			third, err := e.Create(ctx, again(r))
			if err != nil {
				return fmt.Errorf("a create after the end: %w", err)
			}
			if second.ID() != first.ID() || third.ID() != first.ID() {
				return fmt.Errorf("three creates gave %s, %s and %s", first.ID(), second.ID(), third.ID())
			}
			out, err := e.Read(ctx, first.ID(), nil)
			if err != nil {
				return err
			}
			return same(out, []byte("x\n"))
		}},
		{"creates at once under one key make one atom", needs, func(ctx context.Context, e *Env) error {
			r := e.keyed("sleep", long)
			ids := make([]string, 8)
			err := together(len(ids), func(i int) error {
				a, err := e.Create(ctx, again(r))
				if err != nil {
					return err
				}
				ids[i] = a.ID()
				return nil
			})
			if err != nil {
				return err
			}
			for _, id := range ids {
				if id != ids[0] {
					return fmt.Errorf("the creates gave %q", ids)
				}
			}
			return nil
		}},
		{"the same key with another request is AlreadyExists", needs, func(ctx context.Context, e *Env) error {
			r := e.keyed("sleep", long)
			r.Name = "first"
			a, err := e.Create(ctx, r)
			if err != nil {
				return err
			}
			for what, change := range map[string]func(*atom.EngineCreateRequest){
				"command": func(r *atom.EngineCreateRequest) { r.Command = append([]string{e.program()}, "print") },
				"name":    func(r *atom.EngineCreateRequest) { r.Name = "second" },
				"env":     func(r *atom.EngineCreateRequest) { r.Spec.Env = map[string]string{"A": "1"} },
				// Its zero value and what it stands for are two requests:
				// comparing before defaults is what lets defaults change.
				"pull policy": func(r *atom.EngineCreateRequest) { r.Spec.PullPolicy = container.PullIfNotPresent },
			} {
				other := again(r)
				change(other)
				_, err := e.Create(ctx, other)
				if err := class(err, "AlreadyExists", errdefs.IsAlreadyExists); err != nil {
					return fmt.Errorf("another %s: %w", what, err)
				}
			}
			if now, err := e.Get(ctx, a.ID()); err != nil || now.State().Done() {
				return fmt.Errorf("afterwards the first atom is %s, %v", describe(now), err)
			}
			return nil
		}},
		{"empty and nil collections are the same request", needs, func(ctx context.Context, e *Env) error {
			r := e.keyed("sleep", long)
			a, err := e.Create(ctx, r)
			if err != nil {
				return err
			}
			other := again(r)
			other.Spec.Env, other.Spec.Mounts, other.Spec.Entrypoint = map[string]string{}, []container.Mount{}, []string{}
			b, err := e.Create(ctx, other)
			if err != nil {
				return err
			}
			if a.ID() != b.ID() {
				return fmt.Errorf("the creates gave %s and %s", a.ID(), b.ID())
			}
			return nil
		}},
		{"a key is any text of up to 1024 bytes", needs, func(ctx context.Context, e *Env) error {
			for _, key := range []string{
				"run 7/step 1: 'ünïcode' " + atom.NewKey(), strings.Repeat("k", atom.MaxKeyBytes-30) + atom.NewKey(), "A\n\t" + atom.NewKey(),
			} {
				r := e.Request("sleep", long)
				r.Key = key
				a, err := e.Create(ctx, r)
				if err != nil {
					return fmt.Errorf("creating under the key %.40q: %w", key, err)
				}
				found, err := e.Lookup(ctx, key)
				if err != nil || found.ID() != a.ID() {
					return fmt.Errorf("looking up the key %.40q: %s, %v", key, describe(found), err)
				}
			}
			return nil
		}},
		{"keys that differ in case or blanks are different", needs, func(ctx context.Context, e *Env) error {
			base := "case " + atom.NewKey()
			ids := make(map[string]string)
			for _, key := range []string{base, strings.ToUpper(base), base + " "} {
				r := e.Request("sleep", long)
				r.Key = key
				a, err := e.Create(ctx, r)
				if err != nil {
					return err
				}
				if other, ok := ids[a.ID()]; ok {
					return fmt.Errorf("the keys %q and %q gave one atom", other, key)
				}
				ids[a.ID()] = key
			}
			return nil
		}},
		{"two owners' atoms under one key are two", needs, func(ctx context.Context, e *Env) error {
			r := e.keyed("sleep", long)
			a, err := e.Create(ctx, r)
			if err != nil {
				return err
			}
			other := again(r)
			other.Owner = foreignOwner
			b, err := e.Create(ctx, other)
			if err != nil {
				return err
			}
			if a.ID() == b.ID() {
				return fmt.Errorf("both got %s", a.ID())
			}
			return nil
		}},
		{"a deleted atom's key is free, and its ID names nothing any more", []atom.Capability{atom.CapLookup, atom.CapDelete}, func(ctx context.Context, e *Env) error {
			r := e.keyed()
			a, err := e.Create(ctx, r)
			if err != nil {
				return err
			}
			if err := e.Delete(ctx, a.ID(), true); err != nil {
				return fmt.Errorf("deleting: %w", err)
			}
			other := e.Request("sleep", long)
			other.Key = r.Key
			b, err := e.Create(ctx, other)
			if err != nil {
				return fmt.Errorf("creating under the key again: %w", err)
			}
			if a.ID() == b.ID() {
				return fmt.Errorf("two incarnations have the ID %s", a.ID())
			}
			_, err = e.Get(ctx, a.ID())
			return notFound(err)
		}},
	}
}

func lookupPromises() []Promise {
	needs := []atom.Capability{atom.CapLookup}
	return []Promise{
		{"a lookup finds the atom of a key, running or stopped", needs, func(ctx context.Context, e *Env) error {
			r := e.keyed("exit", "3")
			r.Name = "looked up"
			a, err := e.Create(ctx, r)
			if err != nil {
				return err
			}
			found, err := e.Lookup(ctx, r.Key)
			if err != nil {
				return fmt.Errorf("lookup: %w", err)
			}
			if found.ID() != a.ID() || atom.InfoOf(found).Name != r.Name {
				return fmt.Errorf("lookup gave %s %q; want %s %q", found.ID(), atom.InfoOf(found).Name, a.ID(), r.Name)
			}
			if _, err := e.Wait(ctx, a.ID()); err != nil {
				return err
			}
			if found, err = e.Lookup(ctx, r.Key); err != nil {
				return fmt.Errorf("lookup after the end: %w", err)
			}
			return ended(found, atom.Failure, 3)
		}},
		{"a lookup of a key that nobody used is NotFound and creates nothing", needs, func(ctx context.Context, e *Env) error {
			key := atom.NewKey()
			for range 2 {
				_, err := e.Lookup(ctx, key)
				if err := notFound(err); err != nil {
					return err
				}
			}
			return nil
		}},
		{"a lookup without a key finds nothing", needs, func(ctx context.Context, e *Env) error {
			if _, err := e.Start(ctx); err != nil {
				return err
			}
			_, err := e.Lookup(ctx, "")
			return noSuch(err)
		}},
		{"a lookup of a deleted atom is NotFound", []atom.Capability{atom.CapLookup, atom.CapDelete}, func(ctx context.Context, e *Env) error {
			r := e.keyed("sleep", long)
			a, err := e.Create(ctx, r)
			if err != nil {
				return err
			}
			if err := e.Delete(ctx, a.ID(), true); err != nil {
				return fmt.Errorf("deleting: %w", err)
			}
			_, err = e.Lookup(ctx, r.Key)
			return notFound(err)
		}},
	}
}
