package router

import (
	"testing"

	"github.com/atom-router/atom-router/atom"
)

// still is an engine whose Get costs nothing.
type still struct{ *fake }

func (s still) Get(*atom.EngineGetRequest) (atom.Atom, error) {
	return atom.New(*s.atoms[0], s), nil
}

// BenchmarkGet is what the router adds to a Get.
func BenchmarkGet(b *testing.B) {
	f := with("k")
	e := newEngine(b, Config{Backends: backends(still{f}), Default: Rule{Tiers: tiers("a")}})
	id := "a:" + f.atoms[0].ID
	b.ReportAllocs()
	for b.Loop() {
		if _, err := e.Get(&atom.EngineGetRequest{ID: id}); err != nil {
			b.Fatal(err)
		}
	}
}
