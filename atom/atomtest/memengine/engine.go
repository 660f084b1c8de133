package memengine

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/containerd/errdefs"

	"github.com/atom-router/atom-router/atom"
)

const (
	// Image is the image that every Engine has.
	Image = "probe"
	// Program is the one program in it, and on the "machine" of an engine
	// without images.
	Program = "/probe"
	// DefaultStopTimeout is the grace of a Stop where nothing names one.
	DefaultStopTimeout = 10 * time.Second
)

// AllCapabilities is what an Engine can do that is not told to do less.
func AllCapabilities() atom.Capabilities {
	return atom.Capabilities{
		atom.CapImages, atom.CapMountVolume, atom.CapMountTmpfs, atom.CapUser, atom.CapUserNames, atom.CapCPU, atom.CapMemory, atom.CapOOM,
		atom.CapExactBytes, atom.CapLogTimes, atom.CapLogStreams, atom.CapLogsAfterKill, atom.CapStopEscalation, atom.CapDelete, atom.CapLookup,
	}
}

// Engine is an atom.Engine, Deleter, Lookuper, Prober and io.Closer. All
// methods may be called from any number of goroutines.
type Engine struct {
	caps atom.Capabilities

	mu      sync.Mutex
	byID    map[string]*record
	byName  map[string]*record // by native name
	volumes map[string]*files
	last    time.Time // the youngest CreatedAt
	made    int
	closed  bool
	running sync.WaitGroup
}

// New returns an engine without atoms. Where capabilities are given it has
// those alone, and refuses what needs others.
func New(capabilities ...atom.Capability) *Engine {
	if len(capabilities) == 0 {
		capabilities = AllCapabilities()
	}
	return &Engine{
		caps: capabilities, byID: make(map[string]*record), byName: make(map[string]*record), volumes: make(map[string]*files),
	}
}

// Close kills what runs and forgets all atoms, and returns when their
// goroutines have ended. Calls afterwards are Unavailable. Idempotent.
func (e *Engine) Close() error {
	e.mu.Lock()
	e.closed = true
	all := slices.Collect(maps.Values(e.byID))
	e.byID, e.byName = nil, nil
	e.mu.Unlock()
	for _, r := range all {
		r.kill()
		r.remove()
	}
	e.running.Wait()
	return nil
}

// Probe implements atom.Prober.
func (e *Engine) Probe(ctx context.Context) (atom.Capabilities, error) {
	if err := e.begin(ctx, ""); err != nil {
		return nil, err
	}
	return slices.Clone(e.caps), nil
}

// begin is what every call does first.
func (e *Engine) begin(ctx context.Context, owner string) error {
	if err := atom.ContextOr(ctx).Err(); err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return atom.Errorf(errdefs.ErrUnavailable, "the engine is closed")
	}
	return atom.ValidateOwner(owner)
}

// find returns the record of an owner's atom.
func (e *Engine) find(ctx context.Context, owner, id string) (*record, error) {
	if err := e.begin(ctx, owner); err != nil {
		return nil, err
	}
	if err := atom.ValidateID(id); err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	r := e.byID[id]
	if r == nil || r.owner != atom.OwnerOr(owner) {
		return nil, atom.Errorf(errdefs.ErrNotFound, "no atom %q", id)
	}
	return r, nil
}

// Get implements atom.Engine.
func (e *Engine) Get(q *atom.EngineGetRequest) (atom.Atom, error) {
	r, err := e.find(q.Context, q.Owner, q.ID)
	if err != nil {
		return nil, err
	}
	return r.snapshot(), nil
}

// Lookup implements atom.Lookuper.
func (e *Engine) Lookup(q *atom.EngineLookupRequest) (atom.Atom, error) {
	if err := e.begin(q.Context, q.Owner); err != nil {
		return nil, err
	}
	if err := atom.ValidateKey(q.Key); err != nil {
		return nil, err
	}
	if q.Key == "" {
		return nil, &atom.FieldError{Field: "key", Reason: "is required"}
	}
	e.mu.Lock()
	r := e.byName[atom.NativeName(q.Owner, q.Key)]
	e.mu.Unlock()
	if r == nil {
		return nil, atom.Errorf(errdefs.ErrNotFound, "no atom under key %q", q.Key)
	}
	return r.snapshot(), nil
}

// List implements atom.Engine.
func (e *Engine) List(q *atom.EngineListRequest) ([]atom.Atom, error) {
	if err := e.begin(q.Context, q.Owner); err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	atoms := []atom.Atom{}
	for _, r := range e.byID {
		at := r.created
		if r.owner != atom.OwnerOr(q.Owner) || !q.Since.IsZero() && at.Before(q.Since) || !q.Before.IsZero() && !at.Before(q.Before) {
			continue
		}
		atoms = append(atoms, r.snapshot())
	}
	slices.SortFunc(atoms, atom.CompareAge)
	return atoms, nil
}

// Create implements atom.Engine.
func (e *Engine) Create(q *atom.EngineCreateRequest) (atom.Atom, error) {
	if err := e.begin(q.Context, q.Owner); err != nil {
		return nil, err
	}
	if err := q.Validate(); err != nil {
		return nil, err
	}
	if lacks := e.caps.Missing(q.Needs()); len(lacks) > 0 {
		return nil, atom.Errorf(errdefs.ErrNotImplemented, "the engine lacks %v", lacks)
	}
	p, err := e.plan(q)
	if err != nil {
		return nil, err
	}
	key := cmp.Or(q.Key, atom.NewKey())
	native, hash := atom.NativeName(q.Owner, key), q.Hash()

	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil, atom.Errorf(errdefs.ErrUnavailable, "the engine is closed")
	}
	if r := e.byName[native]; r != nil {
		if r.hash != hash {
			return nil, atom.Errorf(errdefs.ErrAlreadyExists, "key %q belongs to atom %s, which was made by another request", key, r.info.ID)
		}
		return r.snapshot(), nil
	}
	e.made++
	created := time.Now()
	if !created.After(e.last) {
		created = e.last.Add(1)
	}
	e.last = created
	spec := q.Spec.Clone()
	r := &record{
		engine: e, owner: atom.OwnerOr(q.Owner), native: native, hash: hash, created: created, stopTimeout: spec.StopTimeout,
		info: atom.Info{
			ID: fmt.Sprintf("%s.%d", native, e.made), Name: q.Name, Image: q.Image, Labels: spec.Labels, Rule: q.Rule,
			State: atom.Created, Result: atom.Unknown, CreatedAt: created,
		},
		changed: make(chan struct{}), ended: make(chan struct{}), midLine: make(map[atom.Stream]*line),
	}
	e.byID[r.info.ID], e.byName[native] = r, r
	p.mount(e, spec.Mounts)
	p.record = r
	first := r.snapshot()
	e.running.Add(1)
	go func() { // ends with its atom, which Close ends at the latest
		defer e.running.Done()
		p.run()
	}()
	return first, nil
}

// plan resolves what the atom is to run.
func (e *Engine) plan(q *atom.EngineCreateRequest) (*process, error) {
	p := &process{env: make(map[string]string), cwd: "/", limit: q.Spec.Resources.Memory}
	args := slices.Clone(q.Spec.Entrypoint)
	if e.caps.Has(atom.CapImages) {
		if q.Image != Image {
			p.failure = fmt.Sprintf("image %q: not found", q.Image)
		}
		command := q.Command
		if len(args) == 0 {
			args = []string{Program}
			if len(command) == 0 {
				command = ImageCommand()
			}
		}
		args = append(args, command...)
		p.cwd = "/work"
		p.env["PATH"], p.env["PROBE_IMAGE"] = "/", "from the image"
	} else {
		args = append(args, q.Command...)
	}
	if len(args) == 0 {
		return nil, &atom.FieldError{Field: "command", Reason: "is required: there is no image that could name a program"}
	}
	maps.Copy(p.env, q.Spec.Env)
	p.args, p.cwd = args, cmp.Or(q.Spec.WorkDir, p.cwd)
	if args[0] != Program && p.failure == "" {
		p.failure = fmt.Sprintf("exec %s: no such file or directory", args[0])
	}
	if p.limit > 0 && p.limit < 1<<20 && p.failure == "" {
		p.failure = fmt.Sprintf("a limit of %d bytes of memory is too small to start in", p.limit)
	}
	uid, gid, grouped := strings.Cut(q.Spec.User, ":")
	for _, id := range []struct {
		text string
		to   *int
	}{{uid, &p.uid}, {gid, &p.gid}} {
		switch n, err := strconv.Atoi(id.text); {
		case err == nil:
			*id.to = n
		case id.text == "worker":
			*id.to = 1000
		case id.text != "" && id.text != "root" && p.failure == "":
			p.failure = fmt.Sprintf("user %q: not found", id.text)
		}
	}
	if uid == "worker" && !grouped {
		p.gid = 1000
	}
	return p, nil
}

// ImageCommand is the CMD of Image: it prints a line of its own.
func ImageCommand() []string { return []string{"write", "the image's own command\n"} }

// Delete implements atom.Deleter.
func (e *Engine) Delete(q *atom.EngineDeleteRequest) error {
	r, err := e.find(q.Context, q.Owner, q.ID)
	if err != nil {
		return err
	}
	r.mu.Lock()
	done := r.info.State.Done()
	r.mu.Unlock()
	switch {
	case !done && !q.Force:
		return atom.Errorf(errdefs.ErrFailedPrecondition, "atom %s is running: stop it first, or use force", q.ID)
	case !done:
		r.kill()
	}
	e.mu.Lock()
	delete(e.byID, q.ID)
	if e.byName[r.native] == r {
		delete(e.byName, r.native)
	}
	e.mu.Unlock()
	r.remove()
	return nil
}

// files is a file system that atoms share.
type files struct {
	mu    sync.Mutex
	bytes map[string]string
}

// mounted is a file system at its place in an atom.
type mounted struct {
	*files
	target   string
	readOnly bool
}

// locate finds the file system that holds a path of the atom, the innermost.
func locate(mounts []mounted, name string) (*mounted, string) {
	name = path.Clean(name)
	var best *mounted
	for i, m := range mounts {
		if strings.HasPrefix(name, m.target+"/") && (best == nil || len(m.target) > len(best.target)) {
			best = &mounts[i]
		}
	}
	if best == nil {
		return nil, ""
	}
	return best, name[len(best.target):]
}
