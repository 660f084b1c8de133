package router

import (
	"cmp"
	"math"
	"slices"
)

// rendezvous orders a tier's targets for a key: each gets a score from the
// hash of key and name, bent by its weight so that it comes first for its
// share of keys. Every router makes the same order, and a target that comes or
// goes moves only the keys that it gains or loses
// (https://en.wikipedia.org/wiki/Rendezvous_hashing#Weighted_rendezvous_hash).
func rendezvous(key string, targets []Target) []Target {
	if len(targets) < 2 {
		return targets
	}
	type scored struct {
		Target
		score float64
	}
	list := make([]scored, len(targets))
	for i, t := range targets {
		// Strictly between 0 and 1, as 53 bits are what a float64 holds.
		u := (float64(hash(key, t.Backend)>>11) + 0.5) / (1 << 53)
		list[i] = scored{t, -float64(t.Weight) / math.Log(u)}
	}
	slices.SortFunc(list, func(a, b scored) int {
		return cmp.Or(cmp.Compare(b.score, a.score), cmp.Compare(a.Backend, b.Backend))
	})
	ordered := make([]Target, len(list))
	for i, s := range list {
		ordered[i] = s.Target
	}
	return ordered
}

// hash is FNV-1a over both, ended by the finalizer of SplitMix64: FNV alone
// leaves the high bits of short texts alike. It must never change: routers of
// different releases share keys.
func hash(key, backend string) uint64 {
	h := uint64(14695981039346656037)
	for _, s := range [...]string{key, "\x00", backend} {
		for i := range len(s) {
			h = (h ^ uint64(s[i])) * 1099511628211
		}
	}
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	return h ^ h>>31
}
