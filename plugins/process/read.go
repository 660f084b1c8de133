//go:build linux || darwin

package process

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/atom-router/atom-router/plugins/process/internal/shim"
	"github.com/atom-router/atom-router/plugins/process/internal/state"
)

// read is load without the removal.
//
// The directory may be removed meanwhile, and another incarnation take its
// name. So the records carry the ID, and what is concluded from a free lock is
// concluded while holding the very lock that is still at its place: who
// removes the directory needs that.
func (s *store) read(owner, native string) (*view, error) {
	v := &view{dir: s.dirOf(owner, native)}
	if err := state.ReadJSON(filepath.Join(v.dir, state.MetaFile), &v.meta); err != nil {
		if state.Gone(err) || errors.Is(err, state.ErrNotJSON) {
			// Directories appear whole, so a torn atom.json is the
			// work of a power cut: nobody knows what it was.
			return nil, nil
		}
		return nil, failure("reading the state directory", err)
	}
	if v.meta.Owner != owner { // a file system that does not tell case apart
		return nil, nil
	}
	if err := v.readEnd(); err != nil || v.exit != nil {
		return v.orGone(err)
	}
	lock, err := state.TryLock(filepath.Join(v.dir, state.LockFile), syscall.LOCK_SH)
	if state.Gone(err) && v.isStill() {
		// The power cut again: no shim can hold what is not there.
		if err = state.Touch(filepath.Join(v.dir, state.LockFile)); err == nil {
			lock, err = state.TryLock(filepath.Join(v.dir, state.LockFile), syscall.LOCK_SH)
		}
	}
	if err != nil {
		return v.orGone(err)
	}
	if lock == nil {
		return v.orGone(v.readRunning())
	}
	// While we hold the lock, no shim can begin.
	defer lock.Close()
	if same, err := state.IsAt(lock, filepath.Join(v.dir, state.LockFile)); err != nil || !same || !v.isStill() {
		return nil, nil
	}
	if err := v.readEnd(); err != nil || v.exit != nil {
		return v.orGone(err)
	}
	switch _, err := os.Stat(filepath.Join(v.dir, state.LogFile)); {
	case err == nil:
		return v.orGone(v.lose())
	case !state.Gone(err):
		return v.orGone(err)
	}
	v.halfMade = true
	return v, nil
}

// orGone is the view, or nil where err says that its directory has gone
// meanwhile, or is another incarnation's.
func (v *view) orGone(err error) (*view, error) {
	switch {
	case err == nil:
		return v, nil
	case state.Gone(err) && !v.isStill():
		return nil, nil
	}
	return nil, failure("reading the state directory", err)
}

// readEnd reads how the atom ended, where it has.
func (v *view) readEnd() error {
	var e state.Exit
	err := state.ReadJSON(filepath.Join(v.dir, state.ExitFile), &e)
	switch {
	case err == nil && e.ID != v.meta.ID:
		return fs.ErrNotExist
	case err == nil:
		v.exit = &e
	case state.Gone(err):
		return nil
	case errors.Is(err, state.ErrNotJSON):
		v.exit = &state.Exit{Lost: true, LogError: "the record of its end is torn", Message: "the record of its end is torn: how it ended is not known"}
		if info, err := os.Stat(filepath.Join(v.dir, state.ExitFile)); err == nil {
			v.exit.Time = info.ModTime().UnixNano()
		}
	default:
		return err
	}
	return v.readStarted()
}

func (v *view) readStarted() error {
	var st state.Started
	err := state.ReadJSON(filepath.Join(v.dir, state.StartedFile), &st)
	if err == nil && st.ID != v.meta.ID {
		return fs.ErrNotExist
	}
	if err == nil {
		v.started = &st
	} else if !state.Gone(err) && !errors.Is(err, state.ErrNotJSON) {
		return err
	}
	return nil
}

// readRunning reads what there is of an atom whose shim lives.
func (v *view) readRunning() error {
	if err := v.readStarted(); err != nil {
		return err
	}
	_, err := os.Stat(filepath.Join(v.dir, state.StoppingFile))
	v.stopping = err == nil
	// It may have ended since we looked.
	return v.readEnd()
}

// lose records that the shim was killed and the end of its atom with it. The
// caller holds the lock. Where the record cannot be written the view is the
// same, and the next to look writes it.
func (v *view) lose() error {
	if err := v.readStarted(); err != nil {
		return err
	}
	if v.started != nil {
		shim.KillLeftovers(*v.started)
	}
	v.exit = &state.Exit{
		ID: v.meta.ID, Lost: true, Time: time.Now().UnixNano(), LogError: "its shim was killed",
		Message: "its shim was killed (or the machine went down): how it ended is not known",
	}
	_ = state.WriteJSON(v.dir, state.ExitFile, v.exit)
	return nil
}

// isStill reports whether v's directory holds that same atom and not a later
// one of its Key.
func (v *view) isStill() bool {
	var m state.Meta
	return state.ReadJSON(filepath.Join(v.dir, state.MetaFile), &m) == nil && m.ID == v.meta.ID
}
