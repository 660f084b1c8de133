package router

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"

	"github.com/atom-router/atom-router/atom"
)

// finder is a fake whose atoms come while they are found.
type finder struct {
	*fake
	find func(ctx context.Context, found func(id string) error) error
}

func (f *finder) StreamList(r *atom.EngineListRequest, found func(atom.Atom) error) error {
	f.call("stream")
	return f.find(r.Context, func(id string) error { return found(atom.New(atom.Info{ID: id}, f)) })
}

// giving finds atoms at once.
func giving(ids ...string) *finder {
	return &finder{&fake{}, func(_ context.Context, found func(string) error) error {
		for _, id := range ids {
			if err := found(id); err != nil {
				return err
			}
		}
		return nil
	}}
}

// streamed gathers what a stream gives, sorted.
func streamed(s atom.ListStreamer, ctx context.Context) (all []string, err error) {
	err = s.StreamList(&atom.EngineListRequest{Context: ctx}, func(a atom.Atom) error {
		all = append(all, a.ID())
		return nil
	})
	slices.Sort(all)
	return all, err
}

// One backend's atoms do not wait for another's, and what does not answer is
// named at the end.
func TestStreamOfAllBackends(t *testing.T) {
	other := make(chan struct{})
	slow := &finder{&fake{}, func(ctx context.Context, found func(string) error) error {
		if err := found("1"); err != nil {
			return err
		}
		select {
		case <-other:
			return found("2")
		case <-ctx.Done():
			return ctx.Err()
		}
	}}
	down := &fake{list: func(*atom.EngineListRequest) error { return errDown }}
	six := &fake{atoms: []*atom.Info{{ID: "6"}}}
	e := newEngine(t, Config{Backends: backends(slow, giving("3", "4"), down, six), Default: Rule{Tiers: tiers("a b c d")}})
	var all []string
	err := e.StreamList(&atom.EngineListRequest{}, func(a atom.Atom) error {
		if all = append(all, a.ID()); a.ID() == "b:4" {
			close(other)
		}
		if a.Engine() != e {
			t.Errorf("%s is an atom of %v", a.ID(), a.Engine())
		}
		return nil
	})
	slices.Sort(all)
	if diff := cmp.Diff([]string{"a:1", "a:2", "b:3", "b:4", "d:6"}, all); diff != "" {
		t.Error(diff)
	}
	var partial *PartialError
	if !errors.As(err, &partial) || err.Error() != "list: no answer from c: daemon down" {
		t.Errorf("error %v", err)
	}
	var some []string
	if err = e.StreamBackends(&atom.EngineListRequest{}, func(a atom.Atom) error { some = append(some, a.ID()); return nil }, "b"); err != nil || len(some) != 2 {
		t.Errorf("of one backend: %v, %v", some, err)
	}
	if err = e.StreamBackends(&atom.EngineListRequest{}, nil, "nope"); !errdefs.IsNotFound(err) {
		t.Errorf("an unknown backend: %v", err)
	}
}

// Whoever has enough ends the search of all backends.
func TestEnoughOfAllBackends(t *testing.T) { synctest.Test(t, enoughOfAllBackends) }

func enoughOfAllBackends(t *testing.T) {
	began := time.Now()
	endless := &finder{&fake{}, func(ctx context.Context, _ func(string) error) error { <-ctx.Done(); return ctx.Err() }}
	e := newEngine(t, Config{Backends: backends(endless, giving("1", "2")), Default: Rule{Tiers: tiers("a b")}})
	enough, n := errors.New("enough"), 0
	err := e.StreamList(&atom.EngineListRequest{}, func(atom.Atom) error { n++; return enough })
	if err != enough || n != 1 {
		t.Errorf("%v after %d", err, n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	if err = e.StreamList(&atom.EngineListRequest{Context: ctx}, func(atom.Atom) error { cancel(); return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if took := time.Since(began); took != 0 {
		t.Errorf("it took until a deadline, %v", took)
	}
}

// The deadline is for each next atom, and no business of a slow taker.
func TestStreamDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stalls := &finder{&fake{}, func(ctx context.Context, found func(string) error) error {
			for _, id := range []string{"1", "2", "3"} {
				time.Sleep(9 * time.Second)
				if err := found(id); err != nil {
					return err
				}
			}
			<-ctx.Done()
			return ctx.Err()
		}}
		e := newEngine(t, Config{Backends: backends(stalls), Default: Rule{Tiers: tiers("a")}})
		began, n := time.Now(), 0
		err := e.StreamList(&atom.EngineListRequest{}, func(atom.Atom) error {
			n++
			time.Sleep(time.Minute)
			return nil
		})
		if n != 3 || err == nil || err.Error() != "list: no answer from a: no answer within 10s" {
			t.Errorf("%d, %v", n, err)
		}
		if took := time.Since(began); took != 3*69*time.Second+10*time.Second {
			t.Errorf("took %v", took)
		}
		if atoms, err := e.List(&atom.EngineListRequest{}); len(atoms) != 0 || !errdefs.IsUnavailable(err) {
			t.Errorf("a list gives %d of what is not whole, %v", len(atoms), err)
		}
	})
}

// A connection that is lost before there was an atom is made again, and the
// question asked again; afterwards it cannot be, as some would come twice.
func TestStreamOverALostConnection(t *testing.T) {
	client := func(f *far) atom.ListStreamer { return f.dial() }
	router := func(f *far) atom.ListStreamer {
		return newEngine(f.t, Config{Backends: []Backend{{Name: "a", Address: "unix://" + f.path}}, Default: Rule{Tiers: tiers("a")}})
	}
	for _, c := range []struct {
		name  string
		asks  func(*far) atom.ListStreamer
		given []string
		want  []string
		ok    bool
	}{
		{"client, before the first atom", client, nil, []string{"1", "2"}, true},
		{"client, after it", client, []string{"1"}, []string{"1"}, false},
		{"router, before the first atom", router, nil, []string{"a:1", "a:2"}, true},
		{"router, after it", router, []string{"1"}, []string{"a:1"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			var asked atomic.Int32
			here := make(chan struct{})
			f := &finder{fake: &fake{}}
			f.find = func(ctx context.Context, found func(string) error) error {
				first, give := asked.Add(1) == 1, []string{"1", "2"}
				if first {
					give = c.given
					close(here)
				}
				for _, id := range give {
					if err := found(id); err != nil {
						return err
					}
				}
				if !first {
					return nil
				}
				<-ctx.Done()
				return ctx.Err()
			}
			server := newFar(t, f)
			r := c.asks(server)
			if c.ok {
				go func() { // ends when it was asked
					<-here
					server.cut()
				}()
			}
			var all []string
			err := r.StreamList(&atom.EngineListRequest{Context: t.Context()}, func(a atom.Atom) error {
				if all = append(all, a.ID()); !c.ok {
					server.cut()
				}
				return nil
			})
			if diff := cmp.Diff(c.want, all); diff != "" || (err == nil) != c.ok || err != nil && (!errdefs.IsUnavailable(err) || !strings.HasPrefix(err.Error(), "list: ")) {
				t.Error(err, diff)
			}
			if again, err := streamed(r, t.Context()); err != nil || len(again) != 2 {
				t.Errorf("asked anew: %v, %v", again, err)
			}
		})
	}
}
