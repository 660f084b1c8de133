// Package rendezvous orders names for a key by weighted rendezvous hashing: each
// gets a score from the hash of key and name, bent by its weight so that it
// comes first for its share of keys. Whoever computes it gets the same order,
// and a name that comes or goes moves only the keys that it gains or loses
// (https://en.wikipedia.org/wiki/Rendezvous_hashing#Weighted_rendezvous_hash).
//
// The router places atoms by it, and internal/scale shows how evenly.
package rendezvous

import "math"

// Key is what the scores of one key have in common.
type Key uint64

// Of is the Key of a text.
//
// The hash is FNV-1a over key and name, ended by the finalizer of SplitMix64:
// FNV alone leaves the high bits of short texts alike. It must never change:
// routers of different releases share keys.
func Of(key string) Key {
	return fnv(fnv(14695981039346656037, key), "\x00")
}

// Score is a name's for the key. It is above 0 for a weight above 0, and the
// highest comes first.
func (k Key) Score(name string, weight int) float64 {
	// Strictly between 0 and 1, as 53 bits are what a float64 holds.
	u := (float64(k.hash(name)>>11) + 0.5) / (1 << 53)
	return -float64(weight) / math.Log(u)
}

func (k Key) hash(name string) uint64 {
	h := uint64(fnv(k, name))
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	return h ^ h>>31
}

func fnv(h Key, s string) Key {
	for i := range len(s) {
		h = (h ^ Key(s[i])) * 1099511628211
	}
	return h
}
