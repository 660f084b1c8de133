package atom

import (
	"cmp"
	"slices"
)

// StreamList is e's StreamList, and where it has none its List.
func StreamList(e Engine, r *EngineListRequest, found func(Atom) error) error {
	if s, ok := e.(ListStreamer); ok {
		return s.StreamList(r, found)
	}
	all, err := e.List(r)
	for _, a := range all {
		if err := found(a); err != nil {
			return err
		}
	}
	return err
}

// SortedList is the List of an engine that finds its atoms in no order: all that
// its StreamList gives, the oldest first, or its error and nothing.
func SortedList(s ListStreamer, r *EngineListRequest) ([]Atom, error) {
	var all []Atom
	err := s.StreamList(r, func(a Atom) error {
		all = append(all, a)
		return nil
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(all, CompareAge)
	return all, nil
}

// CompareAge orders atoms as a List does, the oldest first.
func CompareAge(a, b Atom) int {
	return cmp.Or(a.CreatedAt().Compare(b.CreatedAt()), cmp.Compare(a.ID(), b.ID()))
}
