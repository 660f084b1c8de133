// Package watch tells what changed between one look at backends and atoms and
// the next. It asks nobody itself.
package watch

import (
	"cmp"
	"errors"
	"slices"
	"strings"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/router"
)

// Atoms is what a watcher has seen so far. The zero Atoms has seen nothing. It
// is for one goroutine.
type Atoms struct {
	seen map[string]atom.Info
	away map[string]bool // backends that did not answer the last look; "" for all
}

// AtomChanges is what is new at a look.
type AtomChanges struct {
	// Changed are atoms that are new or not as they were, in the order of the
	// list; then those that are gone, Deleted and with the result that was
	// seen last.
	Changed []atom.Info
	// Away are the errors of backends that answered so far, and Back the names
	// of those that answer again; "" stands for all of them.
	Away []error
	Back []string
}

// None reports whether nothing changed.
func (c AtomChanges) None() bool { return len(c.Changed)+len(c.Away)+len(c.Back) == 0 }

// Look takes in what a List gave, its error too. Atoms of a backend that did
// not answer are as they were.
func (s *Atoms) Look(list []atom.Atom, err error) AtomChanges {
	var changes AtomChanges
	failed := failures(err)
	for _, name := range sortedKeys(failed) {
		if !s.away[name] {
			changes.Away = append(changes.Away, failed[name])
		}
	}
	for _, name := range sortedKeys(s.away) {
		if failed[name] == nil {
			changes.Back = append(changes.Back, name)
		}
	}
	s.away = make(map[string]bool, len(failed))
	for name := range failed {
		s.away[name] = true
	}

	now := make(map[string]atom.Info, len(list))
	for _, a := range list {
		info := atom.InfoOf(a)
		now[info.ID] = info
		if old, ok := s.seen[info.ID]; !ok || !same(old, info) {
			changes.Changed = append(changes.Changed, info)
		}
	}
	var gone []atom.Info
	for id, info := range s.seen {
		switch _, there := now[id]; {
		case there:
		case s.away[""] || s.away[BackendOf(id)]:
			now[id] = info // who knows
		default:
			info.State = atom.Deleted
			gone = append(gone, info)
		}
	}
	slices.SortFunc(gone, byAge)
	changes.Changed = append(changes.Changed, gone...)
	s.seen = now
	return changes
}

// All is every atom that was seen and is not known to be gone, oldest first.
func (s *Atoms) All() []atom.Info {
	all := make([]atom.Info, 0, len(s.seen))
	for _, info := range s.seen {
		all = append(all, info)
	}
	slices.SortFunc(all, byAge)
	return all
}

// BackendOf is the name of the backend that an ID leads to.
func BackendOf(id string) string {
	name, _, _ := strings.Cut(id, ":")
	return name
}

// failures are the errors of a List by the backends that they are of.
func failures(err error) map[string]error {
	if err == nil {
		return nil
	}
	var partial *router.PartialError
	if !errors.As(err, &partial) {
		return map[string]error{"": err}
	}
	failed := make(map[string]error)
	for _, f := range partial.Failed {
		failed[f.Backend] = f
	}
	return failed
}

// same compares what changes in an atom's life.
func same(a, b atom.Info) bool {
	code := func(i atom.Info) int {
		if i.ExitCode == nil {
			return -1
		}
		return *i.ExitCode
	}
	return a.State == b.State && a.Result == b.Result && code(a) == code(b) && a.Message == b.Message &&
		a.StartedAt.Equal(b.StartedAt) && a.StoppedAt.Equal(b.StoppedAt)
}

func byAge(a, b atom.Info) int {
	return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.ID, b.ID))
}

func sortedKeys[V any](m map[string]V) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
