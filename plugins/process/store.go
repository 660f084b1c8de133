//go:build linux || darwin

package process

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/containerd/errdefs"

	"github.com/atom-router/atom-router/atom"
)

// Names inside an atom's directory; doc.go says what each is for.
const (
	metaFile     = "atom.json"
	lockFile     = "lock"
	ctlFile      = "ctl"
	logFile      = "log"
	startedFile  = "started.json"
	stoppingFile = "stopping"
	exitFile     = "exit.json"
	// reservedFile becomes exitFile. It is written full size when the job
	// starts, so that a disk that is full by the end can still take the exit.
	reservedFile  = "exit.reserved"
	reservedBytes = 4096

	tmpDir = ".tmp" // no owner begins with a dot
)

// halfMade is for how long an atom that was never started waits for another
// Create under its Key.
const halfMade = 15 * time.Minute

// meta is atom.json.
type meta struct {
	ID          string            `json:"id"`
	Owner       string            `json:"owner"`
	Name        string            `json:"name,omitempty"`
	Image       string            `json:"image"`
	Labels      map[string]string `json:"labels,omitempty"`
	Rule        string            `json:"rule,omitempty"`
	Hash        string            `json:"hash"`
	Created     int64             `json:"created"`                // Unix nanoseconds
	StopTimeout time.Duration     `json:"stop_timeout,omitempty"` // nanoseconds
}

// started is started.json.
type started struct {
	PID  int   `json:"pid"`
	Time int64 `json:"time"` // Unix nanoseconds
	// Ticks and Boot tell this process from a later one with its PID; they
	// are empty where the system does not say.
	Ticks string `json:"ticks,omitempty"`
	Boot  string `json:"boot,omitempty"`
}

// exit is exit.json.
type exit struct {
	Code         *int   `json:"code,omitempty"`
	NeverStarted bool   `json:"never_started,omitempty"`
	Message      string `json:"message,omitempty"`
	Time         int64  `json:"time"` // Unix nanoseconds
	// LogBytes is how long the log is when it is whole.
	LogBytes int64 `json:"log_bytes"`
	// LogError says why the log is not whole; "" where it is.
	LogError string `json:"log_error,omitempty"`
	// Lost is set by an engine that found the shim gone without an exit.
	Lost bool `json:"lost,omitempty"`
}

// view is all that an atom's directory says.
type view struct {
	dir      string
	meta     meta
	started  *started
	exit     *exit
	stopping bool
	// halfMade is an atom that nobody has started and nobody is starting.
	halfMade bool
}

func (v *view) state() atom.State {
	switch {
	case v.exit != nil:
		return atom.Stopped
	case v.started == nil:
		return atom.Created
	case v.stopping:
		return atom.Stopping
	}
	return atom.Running
}

// info is the view as an engine's users see it.
func (v *view) info() atom.Info {
	info := atom.Info{
		ID: v.meta.ID, Name: v.meta.Name, Image: v.meta.Image, Labels: v.meta.Labels, Rule: v.meta.Rule,
		State: v.state(), Result: atom.Unknown, CreatedAt: time.Unix(0, v.meta.Created).UTC(),
	}
	if v.started != nil {
		info.StartedAt = time.Unix(0, v.started.Time).UTC()
	}
	if v.exit != nil {
		info.Result = atom.Exit{Code: v.exit.Code, NeverStarted: v.exit.NeverStarted}.Result()
		info.ExitCode = v.exit.Code
		info.Message = v.exit.Message
		if v.exit.LogError != "" && !v.exit.Lost {
			info.Message = strings.TrimPrefix(info.Message+"; its output is not whole: "+v.exit.LogError, "; ")
		}
		info.StoppedAt = time.Unix(0, v.exit.Time).UTC()
	}
	return info
}

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
	if err := syscall.Mkfifo(filepath.Join(probe, ctlFile), 0o600); err != nil {
		return nil, &atom.FieldError{Field: "state_dir", Reason: "its file system holds no FIFOs: " + err.Error()}
	}
	if lock, err := tryLock(probe, syscall.LOCK_EX); err != nil {
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

// read is load without the removal.
func (s *store) read(owner, native string) (*view, error) {
	v := &view{dir: s.dirOf(owner, native)}
	if err := readJSON(filepath.Join(v.dir, metaFile), &v.meta); err != nil {
		if gone(err) || errors.Is(err, errNotJSON) {
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
	lock, err := tryLock(filepath.Join(v.dir, lockFile), syscall.LOCK_SH)
	if gone(err) && v.isStill() {
		// The power cut again: no shim can hold what is not there.
		if err = touch(filepath.Join(v.dir, lockFile)); err == nil {
			lock, err = tryLock(filepath.Join(v.dir, lockFile), syscall.LOCK_SH)
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
	if err := v.readEnd(); err != nil || v.exit != nil {
		return v.orGone(err)
	}
	switch _, err := os.Stat(filepath.Join(v.dir, logFile)); {
	case err == nil:
		return v.orGone(v.lose())
	case !gone(err):
		return v.orGone(err)
	}
	v.halfMade = true
	return v, nil
}

// orGone is the view, or nil where err says that its directory has gone
// meanwhile.
func (v *view) orGone(err error) (*view, error) {
	switch {
	case err == nil:
		return v, nil
	case gone(err):
		if _, err := os.Stat(v.dir); gone(err) {
			return nil, nil
		}
	}
	return nil, failure("reading the state directory", err)
}

// readEnd reads how the atom ended, where it has.
func (v *view) readEnd() error {
	var e exit
	err := readJSON(filepath.Join(v.dir, exitFile), &e)
	switch {
	case err == nil:
		v.exit = &e
	case gone(err):
		return nil
	case errors.Is(err, errNotJSON):
		v.exit = &exit{Lost: true, LogError: "the record of its end is torn", Message: "the record of its end is torn: how it ended is not known"}
		if info, err := os.Stat(filepath.Join(v.dir, exitFile)); err == nil {
			v.exit.Time = info.ModTime().UnixNano()
		}
	default:
		return err
	}
	return v.readStarted()
}

func (v *view) readStarted() error {
	var st started
	err := readJSON(filepath.Join(v.dir, startedFile), &st)
	if err == nil {
		v.started = &st
	} else if !gone(err) && !errors.Is(err, errNotJSON) {
		return err
	}
	return nil
}

// readRunning reads what there is of an atom whose shim lives.
func (v *view) readRunning() error {
	if err := v.readStarted(); err != nil {
		return err
	}
	_, err := os.Stat(filepath.Join(v.dir, stoppingFile))
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
		killLeftovers(*v.started)
	}
	v.exit = &exit{
		Lost: true, Time: time.Now().UnixNano(), LogError: "its shim was killed",
		Message: "its shim was killed (or the machine went down): how it ended is not known",
	}
	_ = writeJSON(v.dir, exitFile, v.exit)
	return nil
}

// remove takes the atom away, by one rename. It reports false where that was
// not possible because somebody else holds the lock, or where another atom
// has taken its place. onlyHalfMade leaves an atom that has begun.
func (s *store) remove(v *view, onlyHalfMade bool) (bool, error) {
	lock, err := tryLock(filepath.Join(v.dir, lockFile), syscall.LOCK_EX)
	if gone(err) {
		return true, nil
	}
	if err != nil {
		return false, failure("locking the atom", err)
	}
	if lock == nil {
		return false, nil
	}
	defer lock.Close()
	if same, err := isAt(lock, filepath.Join(v.dir, lockFile)); !same || err != nil {
		return gone(err), nil
	}
	if !v.isStill() {
		return true, nil
	}
	if onlyHalfMade {
		if _, err := os.Stat(filepath.Join(v.dir, logFile)); err == nil {
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
	var m meta
	if err := readJSON(filepath.Join(dir, metaFile), &m); !gone(err) && !errors.Is(err, errNotJSON) {
		return nil
	}
	if lock, err := tryLock(filepath.Join(dir, lockFile), syscall.LOCK_EX); err == nil && lock != nil {
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

// isStill reports whether v's directory holds that same atom and not a later
// one of its Key.
func (v *view) isStill() bool {
	var m meta
	return readJSON(filepath.Join(v.dir, metaFile), &m) == nil && m.ID == v.meta.ID
}

// touch makes an empty file where there is none.
func touch(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}

func gone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}

var errNotJSON = errors.New("not JSON")

func readJSON(path string, into any) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, into); err != nil {
		return errors.Join(errNotJSON, err)
	}
	return nil
}

// writeJSON makes the file appear whole; where there is one already, that one
// stays.
func writeJSON(dir, name string, value any) error {
	text, err := json.Marshal(value)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, name+".")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(text)
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Link(f.Name(), filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}
