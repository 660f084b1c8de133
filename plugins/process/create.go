//go:build linux || darwin

package process

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/containerd/errdefs"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/plugins/process/internal/shim"
	"github.com/atom-router/atom-router/plugins/process/internal/state"
)

// Create implements atom.Engine. It returns when the job runs or is known not
// to start. A job that cannot be started is no error but an atom with
// startup_failure.
func (e *Engine) Create(r *atom.EngineCreateRequest) (atom.Atom, error) {
	if err := e.begin(r.Context); err != nil {
		return nil, err
	}
	if err := check(r); err != nil {
		return nil, err
	}
	ctx := atom.ContextOr(r.Context)
	owner, key := atom.OwnerOr(r.Owner), r.Key
	if key == "" {
		key = atom.NewKey()
	}
	native := atom.NativeName(owner, key)
	for {
		if err := e.begin(ctx); err != nil {
			return nil, err
		}
		v, err := e.store.load(owner, native)
		if err != nil {
			return nil, err
		}
		if v == nil {
			if v, err = e.store.publish(owner, native, r); err != nil {
				return nil, err
			}
			if v == nil {
				continue // another was quicker
			}
		}
		if v.meta.Hash != r.Hash() {
			return nil, atom.Errorf(errdefs.ErrAlreadyExists, "key %q belongs to atom %s, which was made by another request", r.Key, v.meta.ID)
		}
		if v.started != nil || v.exit != nil {
			return atom.New(v.info(), e), nil
		}
		v, err = e.startJob(ctx, v, r)
		if err != nil {
			return nil, e.abandon(v, r, err)
		}
		if v != nil {
			return atom.New(v.info(), e), nil
		}
	}
}

// startJob brings an atom that is not started to its start; nil where it has
// gone meanwhile. With an error it returns the atom as it was.
func (e *Engine) startJob(ctx context.Context, v *view, r *atom.EngineCreateRequest) (*view, error) {
	if v.halfMade {
		a, err := e.spawn(ctx, v, shim.Order{
			ID: v.meta.ID, Dir: v.dir, Args: append(append([]string{}, r.Spec.Entrypoint...), r.Command...),
			Env: environ(r.Spec.Env), Work: r.Spec.WorkDir, Grace: e.grace(v, 0),
		})
		switch {
		case err != nil:
			return v, err
		case a.Gone && !v.isStill():
			return nil, nil
		case a.Err != "" || a.Gone:
			return v, failure("starting the job", shimError{a})
		}
	}
	// Another Create may be at it: it begins within moments or never.
	sub := e.watch.subscribe()
	defer sub.close()
	sub.add(v.dir, watchLife)
	bound := time.NewTimer(startTimeout)
	defer bound.Stop()
	for {
		now, err := e.store.find(v.meta.Owner, v.meta.ID)
		switch {
		case errdefs.IsNotFound(err):
			return nil, nil
		case err != nil:
			return v, err
		case now.started != nil || now.exit != nil:
			return now, nil
		case now.halfMade:
			return nil, nil // the other one died: from the start
		}
		select {
		case <-sub.C:
		case <-time.After(5 * time.Millisecond):
			// A shim that dies between taking the lock and its first
			// file tells nobody.
		case <-bound.C:
			return v, atom.Errorf(errdefs.ErrUnavailable, "the shim did not start the job within %v", startTimeout)
		case <-ctx.Done():
			return v, ctx.Err()
		case <-e.closed:
			return v, closedError()
		}
	}
}

// shimError is why a shim could not begin.
type shimError struct{ a shim.Answer }

func (s shimError) Error() string { return s.a.Err }
func (s shimError) Unwrap() error { return s.a.Errno }

// abandon leaves nothing behind after err, or says that it could not make
// sure of that.
func (e *Engine) abandon(v *view, r *atom.EngineCreateRequest, err error) error {
	if removed, rmErr := e.store.remove(v, true); removed && rmErr == nil {
		return err
	}
	now, findErr := e.store.find(v.meta.Owner, v.meta.ID)
	if errdefs.IsNotFound(findErr) {
		return err
	}
	if r.Key != "" {
		return &atom.OutcomeUnknown{Key: r.Key, Err: err}
	}
	// Nobody else can know the atom: take it back.
	if findErr == nil {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if delErr := e.delete(ctx, now, true); delErr != nil && !errdefs.IsNotFound(delErr) {
			return errors.Join(err, fmt.Errorf("atom %s stays behind: %w", v.meta.ID, delErr))
		}
	}
	return err
}

// publish makes the atom's directory, half-made; nil where there is one by
// that name already.
func (s *store) publish(owner, native string, r *atom.EngineCreateRequest) (*view, error) {
	const doing = "making the atom in the state directory"
	v := &view{
		dir: s.dirOf(owner, native),
		meta: state.Meta{
			ID: newID(native), Owner: owner, Name: r.Name, Image: r.Image, Labels: r.Spec.Labels, Rule: r.Rule,
			Hash: r.Hash(), Created: time.Now().UnixNano(), StopTimeout: r.Spec.StopTimeout,
		},
		halfMade: true,
	}
	for _, dir := range []string{tmpDir, owner} {
		if err := os.MkdirAll(filepath.Join(s.root, dir), 0o700); err != nil {
			return nil, failure(doing, err)
		}
	}
	tmp := s.tmp("new-", native)
	err := fill(tmp, v.meta)
	if err == nil {
		err = os.Rename(tmp, v.dir)
	}
	if err != nil {
		os.RemoveAll(tmp)
		if errors.Is(err, fs.ErrExist) || errors.Is(err, syscall.ENOTEMPTY) {
			return nil, nil
		}
		return nil, failure(doing, err)
	}
	return v, nil
}

// fill makes all that an atom has before its shim.
func fill(dir string, m state.Meta) error {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, state.MetaFile), text, 0o600); err != nil {
		return err
	}
	if err := syscall.Mkfifo(filepath.Join(dir, state.CtlFile), 0o600); err != nil {
		return &os.PathError{Op: "mkfifo", Path: dir, Err: err}
	}
	return state.Touch(filepath.Join(dir, state.LockFile))
}

// check refuses what a plain process cannot be.
func check(r *atom.EngineCreateRequest) error {
	if err := r.Validate(); err != nil {
		return err
	}
	if len(r.Command) == 0 && len(r.Spec.Entrypoint) == 0 {
		return &atom.FieldError{Field: "command", Reason: "is required where there is no spec.entrypoint: processes run no image that could name a program"}
	}
	if len(r.Spec.Entrypoint) == 0 && r.Command[0] == "" {
		return &atom.FieldError{Field: "command[0]", Reason: "names no program"}
	}
	var lacks []string
	for _, need := range capabilities().Missing(r.Needs()) {
		if need == atom.CapUserNames {
			continue // without users, names of users are no news
		}
		lacks = append(lacks, fmt.Sprintf("%s (capability %q)", lacking(need), need))
	}
	if len(lacks) > 0 {
		return atom.Errorf(errdefs.ErrNotImplemented, "a plain process cannot have %s: leave it out, or route the atom to a backend that can, such as Docker or Kubernetes",
			strings.Join(lacks, ", "))
	}
	return nil
}

func lacking(c atom.Capability) string {
	switch c {
	case atom.CapMountBind, atom.CapMountVolume, atom.CapMountTmpfs:
		return "spec.mounts"
	case atom.CapUser:
		return "spec.user"
	case atom.CapCPU:
		return "spec.resources.cpu"
	case atom.CapMemory:
		return "spec.resources.memory"
	case atom.CapGPUs:
		return "spec.resources.gpus"
	}
	return "what needs it"
}

// grace is how long a stop waits before it kills: what it asks for, or the
// atom's own, or ours; in whole seconds, rounded up.
func (e *Engine) grace(v *view, asked time.Duration) time.Duration {
	d := asked
	if d == 0 {
		d = v.meta.StopTimeout
	}
	if d == 0 {
		d = e.stopTimeout
	}
	if part := d % time.Second; part > 0 && d < time.Duration(1<<62) {
		d += time.Second - part
	}
	return d
}
