package router

import (
	"cmp"
	"slices"

	"github.com/atom-router/atom-router/internal/rendezvous"
)

// byRendezvous orders a tier's targets for a key as every router does.
func byRendezvous(key string, targets []Target) []Target {
	if len(targets) < 2 {
		return targets
	}
	type scored struct {
		Target
		score float64
	}
	list := make([]scored, len(targets))
	of := rendezvous.Of(key)
	for i, t := range targets {
		list[i] = scored{t, of.Score(t.Backend, t.Weight)}
	}
	slices.SortFunc(list, func(a, b scored) int {
		if a.score == b.score {
			return cmp.Compare(a.Backend, b.Backend)
		}
		return cmp.Compare(b.score, a.score)
	})
	ordered := make([]Target, len(list))
	for i, s := range list {
		ordered[i] = s.Target
	}
	return ordered
}
