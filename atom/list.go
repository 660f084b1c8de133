package atom

import "cmp"

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

// CompareAge orders atoms as a List does, the oldest first.
func CompareAge(a, b Atom) int {
	return cmp.Or(a.CreatedAt().Compare(b.CreatedAt()), cmp.Compare(a.ID(), b.ID()))
}
