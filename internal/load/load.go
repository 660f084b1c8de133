// Package load has many clients run jobs at a router at the same time, and
// finds out whether each job ran once and came to its end. The benchmarks and
// the daemon's tests use it.
package load

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/atom-router/atom-router/atom"
)

// Engine is what a client asks: a router in this process, or a daemon.
type Engine interface {
	atom.Engine
	atom.Deleter
}

// Load is some clients and what they have run so far. Its methods are called
// one at a time.
type Load struct {
	clients []*client
}

// New returns a client for each engine. The jobs write to files in dir, an
// absolute path, when they run.
func New(dir string, engines []Engine) *Load {
	l := &Load{}
	for n, e := range engines {
		name := fmt.Sprintf("c%03d", n)
		l.clients = append(l.clients, &client{engine: e, name: name, runs: filepath.Join(dir, name)})
	}
	return l
}

// Report is how it went.
type Report struct {
	// Took is from the first job's begin to the last one's end.
	Took time.Duration
	// Jobs are how long each took its client, from Create to Delete, the
	// shortest first.
	Jobs []time.Duration
	// Again counts the answers after which a client had to ask again.
	Again int
}

// Rate is how many jobs were done in a second.
func (r Report) Rate() float64 { return float64(len(r.Jobs)) / r.Took.Seconds() }

// Quantile is what that part of the jobs took at most.
func (r Report) Quantile(q float64) time.Duration {
	if len(r.Jobs) == 0 {
		return 0
	}
	return r.Jobs[min(int(q*float64(len(r.Jobs))), len(r.Jobs)-1)]
}

// Run has every client run jobs one after the other until d has passed, and
// returns when the last of them is done. The first thing that is wrong with a
// job ends its client; the error tells all of these. ctx ends it early, with
// its error.
func (l *Load) Run(ctx context.Context, d time.Duration) (Report, error) {
	began := time.Now()
	errs := make([]error, len(l.clients))
	var all sync.WaitGroup
	for n, c := range l.clients {
		all.Go(func() {
			c.took, c.again = c.took[:0], 0
			for errs[n] == nil && time.Since(began) < d {
				errs[n] = c.job(ctx)
			}
		})
	}
	all.Wait()
	r := Report{Took: time.Since(began)}
	for _, c := range l.clients {
		r.Jobs = append(r.Jobs, c.took...)
		r.Again += c.again
	}
	slices.Sort(r.Jobs)
	return r, errors.Join(errs...)
}

// Check tells of every job that did not run, or more than once, and of every
// atom that is left.
func (l *Load) Check(ctx context.Context) error {
	var wrong []error
	for _, c := range l.clients {
		text, err := os.ReadFile(c.runs)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		ran := make(map[string]int)
		for key := range strings.FieldsSeq(string(text)) {
			ran[key]++
		}
		for n := range c.begun {
			if times := ran[c.key(n)]; times != 1 {
				wrong = append(wrong, fmt.Errorf("job %s ran %d times", c.key(n), times))
			}
		}
	}
	if len(l.clients) == 0 {
		return nil
	}
	left, err := l.clients[0].engine.List(&atom.EngineListRequest{Context: ctx})
	for _, a := range left {
		wrong = append(wrong, fmt.Errorf("atom %s (%s) is left, %s", a.ID(), atom.InfoOf(a).Name, a.State()))
	}
	return errors.Join(append(wrong, err)...)
}
