//go:build linux || darwin

package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/containerd/errdefs"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/plugins/process/internal/state"
)

// Stop implements atom.Engine. SIGTERM goes to the job's process group;
// SIGKILL to everything that descends from it.
func (e *Engine) Stop(r *atom.EngineStopRequest) error {
	if err := e.begin(r.Context); err != nil {
		return err
	}
	if r.Timeout < 0 {
		return &atom.FieldError{Field: "timeout", Reason: fmt.Sprintf("%v is negative", r.Timeout)}
	}
	v, err := e.store.find(r.Owner, r.ID)
	if err != nil {
		return err
	}
	return e.stop(atom.ContextOr(r.Context), v, r.Force, e.grace(v, r.Timeout))
}

func (e *Engine) stop(ctx context.Context, v *view, force bool, grace time.Duration) error {
	if v.exit != nil {
		return nil
	}
	c := state.Command{ID: v.meta.ID, Kill: force, Grace: grace}
	for {
		if err := e.begin(ctx); err != nil {
			return err
		}
		sent, err := v.tell(c)
		if err != nil {
			return failure("reaching the atom's shim", err)
		}
		if sent {
			break
		}
		// No shim: it has ended since, or was never there.
		if now, err := e.store.find(v.meta.Owner, v.meta.ID); err != nil || now.exit != nil {
			if errdefs.IsNotFound(err) {
				return nil // deleted, and so stopped
			}
			return err
		} else if now.halfMade {
			if done, err := e.store.cancel(now); done || err != nil {
				return err
			}
		}
		// It is just taking up its work, or just ending it.
		select {
		case <-time.After(2 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	_, err := e.await(ctx, v)
	return err
}

// tell writes one command to the shim; false where none reads. Commands are
// shorter than PIPE_BUF and so never mixed.
func (v *view) tell(c state.Command) (bool, error) {
	fd, err := syscall.Open(filepath.Join(v.dir, state.CtlFile), syscall.O_WRONLY|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	switch {
	case errors.Is(err, syscall.ENXIO), errors.Is(err, syscall.ENOENT), errors.Is(err, syscall.ENOTDIR):
		return false, nil
	case err != nil:
		return false, &os.PathError{Op: "open", Path: filepath.Join(v.dir, state.CtlFile), Err: err}
	}
	defer syscall.Close(fd)
	_, err = syscall.Write(fd, c.Line())
	switch {
	case errors.Is(err, syscall.EPIPE):
		return false, nil
	case errors.Is(err, syscall.EAGAIN), errors.Is(err, syscall.EINTR):
		return false, nil
	}
	return err == nil, err
}

// cancel ends a half-made atom: it is stopped before it started. False where
// somebody is starting it after all.
func (s *store) cancel(v *view) (bool, error) {
	lock, err := state.TryLock(filepath.Join(v.dir, state.LockFile), syscall.LOCK_EX)
	if state.Gone(err) {
		return true, nil
	}
	if err != nil {
		return false, failure("locking the atom", err)
	}
	if lock == nil {
		return false, nil
	}
	defer lock.Close()
	if !v.isStill() {
		return true, nil
	}
	if _, err := os.Stat(filepath.Join(v.dir, state.LogFile)); err == nil {
		return false, nil
	}
	err = state.WriteJSON(v.dir, state.ExitFile, state.Exit{ID: v.meta.ID, NeverStarted: true, Time: time.Now().UnixNano(), Message: "stopped before it was started"})
	if err != nil {
		return false, failure("recording the stop", err)
	}
	return true, nil
}

// Delete implements atom.Deleter.
func (e *Engine) Delete(r *atom.EngineDeleteRequest) error {
	if err := e.begin(r.Context); err != nil {
		return err
	}
	v, err := e.store.find(r.Owner, r.ID)
	if err != nil {
		return err
	}
	return e.delete(atom.ContextOr(r.Context), v, r.Force)
}

func (e *Engine) delete(ctx context.Context, v *view, force bool) error {
	if v.exit == nil {
		if !force {
			return atom.Errorf(errdefs.ErrFailedPrecondition, "the atom is %s: stop it first, or force the deletion", v.state())
		}
		if err := e.stop(ctx, v, true, 0); err != nil {
			return err
		}
	}
	for {
		now, err := e.store.find(v.meta.Owner, v.meta.ID)
		if err != nil {
			return err
		}
		removed, err := e.store.remove(now, false)
		if removed || err != nil {
			return err
		}
		// Its shim has recorded the end and is about to let go.
		select {
		case <-time.After(2 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		case <-e.closed:
			return closedError()
		}
	}
}
