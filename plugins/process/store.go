//go:build linux || darwin

package process

import (
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/containerd/errdefs"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/plugins/process/internal/state"
)

// tmpDir holds what is being made or removed; no owner begins with a dot.
const tmpDir = ".tmp"

// halfMade is for how long an atom that was never started waits for another
// Create under its Key.
const halfMade = 15 * time.Minute

// store is the state directory.
type store struct{ root string }

// openStore makes the directory where it is not there, and clears what
// engines that died left in .tmp.
func openStore(root string) (*store, error) {
	s := &store{root: root}
	if err := os.MkdirAll(filepath.Join(root, tmpDir), 0o700); err != nil {
		return nil, &atom.FieldError{Field: "state_dir", Reason: "cannot be used: " + err.Error()}
	}
	probe, err := os.MkdirTemp(filepath.Join(root, tmpDir), "new-")
	if err != nil {
		return nil, &atom.FieldError{Field: "state_dir", Reason: "cannot be written: " + err.Error()}
	}
	defer os.RemoveAll(probe)
	if err := syscall.Mkfifo(filepath.Join(probe, state.CtlFile), 0o600); err != nil {
		return nil, &atom.FieldError{Field: "state_dir", Reason: "its file system holds no FIFOs: " + err.Error()}
	}
	if lock, err := state.TryLock(probe, syscall.LOCK_EX); err != nil {
		return nil, &atom.FieldError{Field: "state_dir", Reason: "its file system has no locks: " + err.Error()}
	} else if lock != nil {
		lock.Close()
	}
	s.sweep()
	return s, nil
}

// sweep removes what was left half-removed, and what was left half-made long
// ago. What another engine is at work on it takes away at worst under a
// RemoveAll, which does not mind.
func (s *store) sweep() {
	entries, err := os.ReadDir(filepath.Join(s.root, tmpDir))
	if err != nil {
		return
	}
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil {
			continue
		}
		if strings.HasPrefix(entry.Name(), "del-") || time.Since(info.ModTime()) > halfMade {
			os.RemoveAll(filepath.Join(s.root, tmpDir, entry.Name()))
		}
	}
}

// idPattern is a native name and the incarnation: what keeps a deleted atom
// apart from another one made later under its Key.
var idPattern = regexp.MustCompile(`^(atom-[a-z2-7]{26})\.[a-z2-7]{16}$`)

var nativePattern = regexp.MustCompile(`^atom-[a-z2-7]{26}$`)

func newID(native string) string { return native + "." + strings.ToLower(rand.Text()[:16]) }

// dirOf is where the atom of that native name is. The owner was validated
// and the name is one of ours, so neither leads out of the state directory.
func (s *store) dirOf(owner, native string) string { return filepath.Join(s.root, owner, native) }

func (s *store) tmp(kind, native string) string {
	return filepath.Join(s.root, tmpDir, kind+native+"."+strings.ToLower(rand.Text()))
}

// find returns the atom with that ID; NotFound where there is none, also
// where its name is now that of another incarnation.
func (s *store) find(owner, id string) (*view, error) {
	if err := atom.ValidateID(id); err != nil {
		return nil, err
	}
	if err := atom.ValidateOwner(owner); err != nil {
		return nil, err
	}
	m := idPattern.FindStringSubmatch(id)
	if m == nil {
		return nil, notFound(id)
	}
	v, err := s.load(atom.OwnerOr(owner), m[1])
	if err != nil {
		return nil, err
	}
	if v == nil || v.meta.ID != id {
		return nil, notFound(id)
	}
	return v, nil
}

func notFound(id string) error {
	return atom.Errorf(errdefs.ErrNotFound, "no atom %q", id)
}

// load reads the atom of that native name; nil where there is none. An
// expired half-made atom is removed and is none.
func (s *store) load(owner, native string) (*view, error) {
	v, err := s.read(owner, native)
	if err == nil && v == nil {
		return nil, s.discardTorn(owner, native)
	}
	if v != nil && v.halfMade && time.Since(time.Unix(0, v.meta.Created)) > halfMade {
		removed, err := s.remove(v, true)
		if err != nil {
			return nil, err
		}
		if removed {
			return nil, nil
		}
		return s.read(owner, native)
	}
	return v, err
}

// remove takes the atom away, by one rename. It reports false where that was
// not possible because somebody else holds the lock, or where another atom
// has taken its place. onlyHalfMade leaves an atom that has begun.
func (s *store) remove(v *view, onlyHalfMade bool) (bool, error) {
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
	if same, err := state.IsAt(lock, filepath.Join(v.dir, state.LockFile)); !same || err != nil {
		return state.Gone(err), nil
	}
	if !v.isStill() {
		return true, nil
	}
	if onlyHalfMade {
		if _, err := os.Stat(filepath.Join(v.dir, state.LogFile)); err == nil {
			return false, nil
		}
	}
	grave := s.tmp("del-", filepath.Base(v.dir))
	if err := os.Rename(v.dir, grave); err != nil {
		return false, failure("removing the atom", err)
	}
	// What cannot be removed now the next engine to start sweeps away.
	_ = os.RemoveAll(grave)
	return true, nil
}

// discardTorn removes what a power cut left of an atom: a directory without a
// readable atom.json. Directories appear whole, so it can be nothing else; left
// where it is, it would bar its Key for ever.
func (s *store) discardTorn(owner, native string) error {
	dir := s.dirOf(owner, native)
	before, err := os.Lstat(dir)
	if err != nil {
		return nil
	}
	var m state.Meta
	if err := state.ReadJSON(filepath.Join(dir, state.MetaFile), &m); !state.Gone(err) && !errors.Is(err, state.ErrNotJSON) {
		return nil
	}
	if lock, err := state.TryLock(filepath.Join(dir, state.LockFile), syscall.LOCK_EX); err == nil && lock != nil {
		defer lock.Close()
	}
	if now, err := os.Lstat(dir); err != nil || !os.SameFile(before, now) {
		return nil
	}
	grave := s.tmp("del-", native)
	if err := os.Rename(dir, grave); err != nil {
		return failure("removing a torn atom", err)
	}
	_ = os.RemoveAll(grave)
	return nil
}
