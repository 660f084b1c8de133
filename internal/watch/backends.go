package watch

import (
	"slices"

	"github.com/atom-router/atom-router/router"
)

// Removed is the state of a backend that the config does not name any more.
const Removed router.BackendState = "removed"

// Backends is what a watcher has seen so far. The zero Backends has seen
// nothing. It is for one goroutine.
type Backends struct {
	seen []router.BackendStatus
}

// Look takes in how the backends do and returns those that are new, or do
// otherwise than they did, in the order given; then those that are not there
// any more, Removed. The words of an error are no change: each attempt may
// have its own.
func (s *Backends) Look(now []router.BackendStatus) []router.BackendStatus {
	var changed []router.BackendStatus
	for _, b := range now {
		if old := find(s.seen, b.Name); old == nil || !alike(*old, b) {
			changed = append(changed, b)
		}
	}
	for _, b := range s.seen {
		if find(now, b.Name) == nil {
			b.State, b.LastError = Removed, nil
			changed = append(changed, b)
		}
	}
	s.seen = slices.Clone(now)
	return changed
}

func find(all []router.BackendStatus, name string) *router.BackendStatus {
	i := slices.IndexFunc(all, func(b router.BackendStatus) bool { return b.Name == name })
	if i < 0 {
		return nil
	}
	return &all[i]
}

func alike(a, b router.BackendStatus) bool {
	return a.Plugin == b.Plugin && a.Version == b.Version && a.State == b.State && a.Restarts == b.Restarts &&
		a.MaxAtoms == b.MaxAtoms && a.Drain == b.Drain && slices.Equal(a.Capabilities, b.Capabilities)
}
