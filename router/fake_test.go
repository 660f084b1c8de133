package router

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/containerd/errdefs"

	"github.com/atom-router/atom-router/atom"
)

// fake is an engine in memory. Its hooks, where set, are asked first; an error
// of theirs is the call's.
type fake struct {
	can atom.Capabilities // nil: everything

	mu     sync.Mutex
	atoms  []*atom.Info
	keys   map[string]string // owner NUL key → ID
	hashes map[string]string // ID → hash
	calls  []string          // "create", "lookup key", …

	create func(*atom.EngineCreateRequest) error
	after  func(*atom.EngineCreateRequest) error // after the atom was made
	lookup func(*atom.EngineLookupRequest) error
	list   func(*atom.EngineListRequest) error
	get    func(*atom.EngineGetRequest) error
	probe  func() error
	logs   func(*atom.EngineLogsRequest) (io.ReadCloser, error)
	wait   func(*atom.EngineWaitRequest) error
	delete func(*atom.EngineDeleteRequest) error

	seen []*atom.EngineCreateRequest
	// stopped is closed and replaced with every Stop.
	stopped chan struct{}
}

func everything() atom.Capabilities {
	return atom.Capabilities{
		atom.CapImages, atom.CapMountBind, atom.CapMountVolume, atom.CapMountTmpfs, atom.CapUser, atom.CapCPU, atom.CapMemory,
		atom.CapExactBytes, atom.CapLogTimes, atom.CapLogStreams, atom.CapLogsAfterKill, atom.CapStopEscalation, atom.CapDelete, atom.CapLookup,
	}
}

func (f *fake) call(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, name)
}

// count is how many atoms there are.
func (f *fake) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.atoms)
}

// asked counts the calls whose names begin so.
func (f *fake) asked(prefix string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, c := range f.calls {
		if strings.HasPrefix(c, prefix) {
			n++
		}
	}
	return n
}

func (f *fake) Probe(ctx context.Context) (atom.Capabilities, error) {
	f.call("probe")
	if f.probe != nil {
		if err := f.probe(); err != nil {
			return nil, err
		}
	}
	if f.can == nil {
		return everything(), nil
	}
	return f.can, nil
}

func (f *fake) find(id, owner string) (*atom.Info, error) {
	for _, a := range f.atoms {
		if a.ID == id {
			return a, nil
		}
	}
	return nil, atom.Errorf(errdefs.ErrNotFound, "no atom %q of owner %q", id, owner)
}

func (f *fake) Get(r *atom.EngineGetRequest) (atom.Atom, error) {
	f.call("get")
	if f.get != nil {
		if err := f.get(r); err != nil {
			return nil, err
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	a, err := f.find(r.ID, r.Owner)
	if err != nil {
		return nil, err
	}
	return atom.New(*a, f), nil
}

func (f *fake) List(r *atom.EngineListRequest) ([]atom.Atom, error) {
	f.call("list")
	if f.list != nil {
		if err := f.list(r); err != nil {
			return nil, err
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	var all []atom.Atom
	for _, a := range f.atoms {
		all = append(all, atom.New(*a, f))
	}
	return all, nil
}

func (f *fake) Create(r *atom.EngineCreateRequest) (atom.Atom, error) {
	f.call("create " + r.Key)
	f.mu.Lock()
	f.seen = append(f.seen, r)
	f.mu.Unlock()
	if f.create != nil {
		if err := f.create(r); err != nil {
			return nil, err
		}
	}
	a, err := f.add(r)
	if err == nil && f.after != nil {
		err = f.after(r)
	}
	if err != nil {
		return nil, err
	}
	return a, nil
}

func (f *fake) add(r *atom.EngineCreateRequest) (atom.Atom, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	key := r.Owner + "\x00" + r.Key
	if id, ok := f.keys[key]; ok && r.Key != "" {
		if f.hashes[id] != r.Hash() {
			return nil, atom.Errorf(errdefs.ErrAlreadyExists, "key %q belongs to another request", r.Key)
		}
		a, err := f.find(id, r.Owner)
		if err != nil {
			return nil, err
		}
		return atom.New(*a, f), nil
	}
	if f.keys == nil {
		f.keys, f.hashes = make(map[string]string), make(map[string]string)
	}
	id := fmt.Sprintf("ns/a%d:x", len(f.atoms)+1)
	f.keys[key], f.hashes[id] = id, r.Hash()
	f.atoms = append(f.atoms, &atom.Info{
		ID: id, Name: r.Name, Image: r.Image, Rule: r.Rule, Labels: r.Spec.Labels,
		State: atom.Running, CreatedAt: time.Now(), StartedAt: time.Now(),
	})
	return atom.New(*f.atoms[len(f.atoms)-1], f), nil
}

func (f *fake) Lookup(r *atom.EngineLookupRequest) (atom.Atom, error) {
	f.call("lookup " + r.Key)
	if f.lookup != nil {
		if err := f.lookup(r); err != nil {
			return nil, err
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	a, err := f.find(f.keys[r.Owner+"\x00"+r.Key], r.Owner)
	if err != nil {
		return nil, err
	}
	return atom.New(*a, f), nil
}

func (f *fake) Wait(r *atom.EngineWaitRequest) (atom.Atom, error) {
	f.call("wait")
	if f.wait != nil {
		if err := f.wait(r); err != nil {
			return nil, err
		}
	}
	for {
		f.mu.Lock()
		if f.stopped == nil {
			f.stopped = make(chan struct{})
		}
		a, err := f.find(r.ID, r.Owner)
		stopped := f.stopped
		if err != nil || a.State.Done() {
			f.mu.Unlock()
			if err != nil {
				return nil, err
			}
			return atom.New(*a, f), nil
		}
		f.mu.Unlock()
		select {
		case <-stopped:
		case <-atom.ContextOr(r.Context).Done():
			return nil, r.Context.Err()
		}
	}
}

func (f *fake) Stop(r *atom.EngineStopRequest) error {
	f.call("stop")
	f.mu.Lock()
	defer f.mu.Unlock()
	a, err := f.find(r.ID, r.Owner)
	if err != nil {
		return err
	}
	a.State, a.StoppedAt = atom.Stopped, time.Now()
	if f.stopped != nil {
		close(f.stopped)
		f.stopped = nil
	}
	return nil
}

func (f *fake) Delete(r *atom.EngineDeleteRequest) error {
	f.call("delete " + r.ID)
	if f.delete != nil {
		if err := f.delete(r); err != nil {
			return err
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	a, err := f.find(r.ID, r.Owner)
	if err != nil {
		return err
	}
	if a.State == atom.Running && !r.Force {
		return atom.Errorf(errdefs.ErrFailedPrecondition, "runs")
	}
	f.atoms = slices.DeleteFunc(f.atoms, func(b *atom.Info) bool { return a == b })
	return nil
}

func (f *fake) Logs(r *atom.EngineLogsRequest) (io.ReadCloser, error) {
	f.call("logs")
	return f.logs(r)
}

// bare hides all of an engine but the contract's six methods.
type bare struct{ atom.Engine }

// backends makes in-process backends of engines, named a, b, c, …
func backends(engines ...atom.Engine) []Backend {
	var bs []Backend
	for n, e := range engines {
		bs = append(bs, Backend{Name: string(rune('a' + n)), Engine: e})
	}
	return bs
}

// tiers makes one tier of each set of names.
func tiers(names ...string) []Tier {
	var ts []Tier
	for _, set := range names {
		var t Tier
		for _, name := range strings.Fields(set) {
			t.Targets = append(t.Targets, Target{Backend: name, Weight: 1})
		}
		ts = append(ts, t)
	}
	return ts
}

// newEngine is New with the janitor off, closed at the test's end.
func newEngine(t testing.TB, c Config) *Engine {
	t.Helper()
	e, err := New(t.Context(), c, Options{NoJanitor: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}
