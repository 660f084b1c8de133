package atomtest

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/atom-router/atom-router/atom"
)

// Harness brings a candidate to Run.
type Harness struct {
	// New returns what promises are checked against. It is called once per
	// Run; t.Cleanup is the place to close the engine.
	New func(t *testing.T) *Env
	// Parallel is how many promises are checked at the same time; 0 is 8.
	Parallel int
}

// Run checks every promise, each in a subtest of its name. It skips those
// that need a capability which the candidate does not declare, and only
// those, and says at the end how many. When all is done and the harness's
// own clean-ups have run, it looks for goroutines that were left behind.
func Run(t *testing.T, h Harness) {
	t.Helper()
	run(t, h, Promises())
}

func run(t *testing.T, h Harness, promises []Promise) {
	before := goroutines()
	var env *Env
	var chosen, kept, broken int
	skipped := make(map[atom.Capability]int)
	// Registered before the harness's clean-ups, and so run after them.
	t.Cleanup(func() {
		t.Logf("%d promises: %d kept, %d broken, %d skipped%s", chosen, kept, broken, chosen-kept-broken, tally(skipped))
		if env == nil || t.Failed() {
			return // a check that failed may well have left something
		}
		if left := leaked(before, env.Ignore); len(left) > 0 {
			t.Errorf("%d goroutines are left behind:\n\n%s", len(left), strings.Join(left, "\n\n"))
		}
	})
	env = h.New(t)
	if err := env.Check(); err != nil {
		t.Fatal(err)
	}
	parallel := h.Parallel
	if parallel == 0 {
		parallel = 8
	}
	slots := make(chan struct{}, parallel)
	ctx := t.Context() // that of the subtests ends with each
	type outcome struct {
		err  error
		took time.Duration
	}
	results := make(chan bool, len(promises))
	// The inner group ends when all its parallel subtests have.
	t.Run("promises", func(t *testing.T) {
		for _, p := range promises {
			t.Run(p.Name, func(t *testing.T) {
				chosen++
				if lacks := env.Capabilities.Missing(p.Needs); len(lacks) > 0 {
					skipped[lacks[0]]++
					t.Skipf("the engine lacks the capability %q", lacks[0])
				}
				done := make(chan outcome, 1)
				go func() { // ends with the check
					slots <- struct{}{}
					defer func() { <-slots }()
					start := time.Now()
					err := p.Verify(ctx, env)
					done <- outcome{err, time.Since(start)}
				}()
				// Parallel holds the subtest back until all have been
				// begun; how many checks run at once is up to the slots.
				t.Parallel()
				o := <-done
				results <- o.err == nil
				t.Logf("took %v", o.took.Round(time.Millisecond))
				if o.err != nil {
					t.Error(o.err)
				}
			})
		}
	})
	close(results)
	for ok := range results {
		if ok {
			kept++
		} else {
			broken++
		}
	}
}

// tally lists how many were skipped for want of what.
func tally(skipped map[atom.Capability]int) string {
	var parts []string
	for c, n := range skipped {
		parts = append(parts, fmt.Sprintf("%d for want of %s", n, c))
	}
	if len(parts) == 0 {
		return ""
	}
	slices.Sort(parts)
	return " (" + strings.Join(parts, ", ") + ")"
}

// Check finds what a harness forgot. Drivers call it before the first Verify.
func (e *Env) Check() error {
	switch {
	case e == nil || e.Engine == nil:
		return fmt.Errorf("the harness gives no engine")
	case e.Capabilities.Has(atom.CapImages) && e.Image == "":
		return fmt.Errorf("the engine has %q: the harness must give an Image (see WriteProbeImage)", atom.CapImages)
	case !e.Capabilities.Has(atom.CapImages) && e.Program == "":
		return fmt.Errorf("the engine has no %q: the harness must give a Program (see BuildProbe)", atom.CapImages)
	case e.Capabilities.Has(atom.CapMountBind) && e.Scratch == "":
		return fmt.Errorf("the engine has %q: the harness must give a Scratch directory", atom.CapMountBind)
	}
	return nil
}
