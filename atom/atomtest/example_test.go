package atomtest_test

import (
	"context"
	"fmt"
	"slices"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/atom/atomtest"
	"github.com/atom-router/atom-router/atom/atomtest/memengine"
)

// A driver of one's own, for where there is no *testing.T: here it asks only
// what an engine promises of names.
func Example() {
	e := memengine.New(atom.CapDelete, atom.CapImages)
	defer e.Close()
	env := &atomtest.Env{Engine: e, Capabilities: atom.Capabilities{atom.CapDelete, atom.CapImages}, Image: memengine.Image}
	for _, p := range atomtest.Promises() {
		if !slices.Contains([]string{"a name is kept as given, and two atoms may share it", "a lookup without a key finds nothing"}, p.Name) {
			continue
		}
		if lacks := env.Capabilities.Missing(p.Needs); len(lacks) > 0 {
			fmt.Printf("skipped, for want of %s: %s\n", lacks[0], p.Name)
		} else if err := p.Verify(context.Background(), env); err != nil {
			fmt.Printf("broken: %s: %v\n", p.Name, err)
		} else {
			fmt.Printf("kept: %s\n", p.Name)
		}
	}
	// Output:
	// kept: a name is kept as given, and two atoms may share it
	// skipped, for want of lookup: a lookup without a key finds nothing
}
