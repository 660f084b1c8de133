package atomtest

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"strings"
	"time"

	"github.com/atom-router/atom-router/atom"
)

// byID are the calls that take an ID.
func (e *Env) byID(ctx context.Context) map[string]func(owner, id string) error {
	calls := map[string]func(owner, id string) error{
		"get": func(owner, id string) error {
			_, err := e.Engine.Get(&atom.EngineGetRequest{ID: id, Owner: owner, Context: ctx})
			return err
		},
		"wait": func(owner, id string) error {
			_, err := e.Engine.Wait(&atom.EngineWaitRequest{ID: id, Owner: owner, Context: ctx})
			return err
		},
		"stop": func(owner, id string) error {
			return e.Engine.Stop(&atom.EngineStopRequest{ID: id, Owner: owner, Force: true, Context: ctx})
		},
		"logs": func(owner, id string) error {
			logs, err := e.Engine.Logs(&atom.EngineLogsRequest{ID: id, Owner: owner, NoFollow: true, Context: ctx})
			if err == nil {
				// A stream's opening may be answered by its first read.
				_, err = logs.Read(make([]byte, 1))
				logs.Close()
			}
			return err
		},
	}
	if d, ok := e.Engine.(atom.Deleter); ok && e.Capabilities.Has(atom.CapDelete) {
		calls["delete"] = func(owner, id string) error {
			return d.Delete(&atom.EngineDeleteRequest{ID: id, Owner: owner, Force: true, Context: ctx})
		}
	}
	return calls
}

// absent are IDs that name nothing, made from one that does.
func absent(id string) []string {
	return []string{
		"x", "a:b:c", ":", "/", "..", "-", "%00", " ", "ünï:cödé", "../../etc/passwd", strings.Repeat("0", 64), "atom-aaaaaaaaaaaaaaaaaaaaaaaaaa",
		id + "0", id[:len(id)-1], id + "/x", " " + id, "\x00", "a\nb", "\xff", strings.Repeat("a", 10<<10),
	}
}

func getPromises() []Promise {
	return []Promise{
		{Name: "a get of what does not exist is NotFound, and so are the other calls", Check: func(ctx context.Context, e *Env) error {
			a, err := e.Start(ctx, "sleep", long)
			if err != nil {
				return err
			}
			for _, id := range absent(a.ID()) {
				for op, call := range e.byID(ctx) {
					if err := noSuch(call(e.Owner, id)); err != nil {
						return fmt.Errorf("%s of the ID %.80q: %w", op, id, err)
					}
				}
			}
			return nil
		}},
		{Name: "an empty ID is an error and no panic", Check: func(ctx context.Context, e *Env) error {
			for op, call := range e.byID(ctx) {
				if err := noSuch(call(e.Owner, "")); err != nil {
					return fmt.Errorf("%s: %w", op, err)
				}
			}
			return nil
		}},
		{Name: "a snapshot does not change", Check: func(ctx context.Context, e *Env) error {
			a, err := e.StartReady(ctx, "print", "ready", ";", "sleep", long)
			if err != nil {
				return err
			}
			if a, err = e.Get(ctx, a.ID()); err != nil {
				return err
			}
			before := atom.InfoOf(a)
			if labels := atom.InfoOf(a).Labels; labels != nil {
				labels["scribbled"] = "on"
			}
			if err := e.stop(ctx, &atom.EngineStopRequest{ID: a.ID(), Force: true}); err != nil {
				return err
			}
			if after := atom.InfoOf(a); !reflect.DeepEqual(before, after) {
				return fmt.Errorf("a snapshot became %+v; it was %+v", after, before)
			}
			now, err := e.Get(ctx, a.ID())
			if err != nil {
				return err
			}
			if code := atom.InfoOf(now).ExitCode; code != nil {
				*code = -7
				if again := atom.InfoOf(now).ExitCode; *again == -7 {
					return fmt.Errorf("writing through ExitCode's pointer changed the snapshot")
				}
			}
			if !maps.Equal(atom.InfoOf(now).Labels, before.Labels) {
				return fmt.Errorf("the labels became %q; they were %q", atom.InfoOf(now).Labels, before.Labels)
			}
			return nil
		}},
		{Name: "a running atom has no result, no exit code and no end", Check: func(ctx context.Context, e *Env) error {
			a, err := e.StartReady(ctx, "print", "ready", ";", "sleep", long)
			if err != nil {
				return err
			}
			var info atom.Info
			// Backends may see the output before they notice the start.
			err = poll(ctx, "the atom to be running", func() (bool, error) {
				a, err := e.Get(ctx, a.ID())
				if err != nil {
					return false, err
				}
				if info = atom.InfoOf(a); info.State != atom.Created && info.State != atom.Running {
					return false, fmt.Errorf("the atom is %s; want running", describe(a))
				}
				return info.State == atom.Running, nil
			})
			if err != nil {
				return err
			}
			if info.Result != atom.Unknown || info.ExitCode != nil || !info.StoppedAt.IsZero() || info.StartedAt.IsZero() {
				return fmt.Errorf("result %s, exit code %v, stopped at %v, started at %v; want unknown, none, never, and a time",
					info.Result, info.ExitCode, info.StoppedAt, info.StartedAt)
			}
			return nil
		}},
		{Name: "an atom was created, started and stopped in that order", Check: func(ctx context.Context, e *Env) error {
			a, _, err := e.Run(ctx, "sleep", "2s")
			if err != nil {
				return err
			}
			info := atom.InfoOf(a)
			// Kubernetes tells starts and ends in whole seconds.
			const grain = time.Second
			if info.StartedAt.IsZero() || info.StoppedAt.IsZero() || info.StartedAt.Before(info.CreatedAt.Truncate(grain)) || info.StoppedAt.Before(info.StartedAt) {
				return fmt.Errorf("created %v, started %v, stopped %v", info.CreatedAt, info.StartedAt, info.StoppedAt)
			}
			// A busy daemon notices a start late, Docker's by 0.1 s and more.
			if ran := info.StoppedAt.Sub(info.StartedAt); ran < grain {
				return fmt.Errorf("a job of 2 s started at %v and stopped at %v", info.StartedAt, info.StoppedAt)
			}
			return nil
		}},
		{Name: "an atom names the engine that returned it", Check: func(ctx context.Context, e *Env) error {
			r := e.Request()
			if e.Capabilities.Has(atom.CapLookup) {
				r = e.keyed()
			}
			created, err := e.Create(ctx, r)
			if err != nil {
				return err
			}
			got, err := e.Get(ctx, created.ID())
			if err != nil {
				return err
			}
			waited, err := e.Wait(ctx, created.ID())
			if err != nil {
				return err
			}
			all := map[string]atom.Atom{"create": created, "get": got, "wait": waited}
			list, err := e.List(ctx, created.CreatedAt(), created.CreatedAt().Add(1))
			if err != nil {
				return err
			}
			for _, a := range list {
				all["list"] = a
			}
			if r.Key != "" {
				if all["lookup"], err = e.Lookup(ctx, r.Key); err != nil {
					return err
				}
			}
			for op, a := range all {
				if a.Engine() != e.Engine {
					return fmt.Errorf("the atom that %s returned names the engine %T, not the %T that was asked", op, a.Engine(), e.Engine)
				}
			}
			return nil
		}},
	}
}
