// Package exam puts a plugin binary, in whatever language it is written,
// through the promises of engines (atom/atomtest) and those of plugin
// processes (plugin/plugintest). `atom-router plugin test` is its only caller.
package exam

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/hashicorp/go-hclog"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/atom/atomtest"
	"github.com/atom-router/atom-router/plugin"
	"github.com/atom-router/atom-router/plugin/plugintest"
	"github.com/atom-router/atom-router/router"
)

// Options say what is examined, and how.
type Options struct {
	// Command is the command line that starts the plugin.
	Command []string
	// Settings are the plugin's; nil is a config block without any.
	Settings router.Settings
	// Image is the probe image as the engine knows it. An engine that has the
	// capability images needs it.
	Image string
	// Program is the path of the probe program as atoms see it; "" is /probe
	// of the image, and for engines without images this program itself, which
	// must call atomtest.RunProbe first in its main.
	Program string
	// Volume is the volume that is mounted; "" is "atomtest".
	Volume string
	// Scratch is a directory that exists under the same path here and where
	// atoms run; "" is that of temporary files.
	Scratch string
	// Run, where it is not nil, chooses among the promises by their names.
	Run *regexp.Regexp
	// Parallel is how many promises are checked at the same time; 0 is 8.
	Parallel int
	// Logger gets what the plugin logs; nil drops it.
	Logger hclog.Logger
	// Progress, where it is not nil, gets each result as it comes, one at a
	// time; left is how many are still to come.
	Progress func(r Result, left int)
}

// Outcome is what became of a promise.
type Outcome string

// The outcomes are also what is printed.
const (
	Pass       Outcome = "pass"
	Fail       Outcome = "fail"
	NotClaimed Outcome = "not claimed"
)

// Result is a promise and what became of it.
type Result struct {
	// Part is what the promise is about, "engine" or "process".
	Part    string
	Promise string
	Outcome Outcome
	// Lacks names the capability for want of which it is not claimed.
	Lacks atom.Capability
	// Err says what was seen and what was expected instead, where it failed.
	Err  error
	Took time.Duration
}

// Report is the end of an exam.
type Report struct {
	Plugin plugin.Description
	// Capabilities are those that the engine said hold now.
	Capabilities atom.Capabilities
	// Results stand in the order of the promises.
	Results []Result
	// Left says which atoms could not be removed afterwards, and why; nil
	// where none is left.
	Left error
	Took time.Duration
}

// Count is how many results have an outcome.
func (r *Report) Count(o Outcome) int {
	n := 0
	for _, one := range r.Results {
		if one.Outcome == o {
			n++
		}
	}
	return n
}

// UsageError is a mistake of whoever asks for the exam.
type UsageError struct{ reason string }

func (e *UsageError) Error() string { return e.reason }

// Run examines a plugin. An error says why there could be no exam: a
// *UsageError, what is wrong with the settings as router.Settings tells it,
// what kept the plugin from starting or its backend from answering, or that
// ctx was over. Whatever comes of it, no process is left when it returns, and
// no atom if the engine can remove them.
func Run(ctx context.Context, o Options) (report *Report, err error) {
	begun := time.Now()
	c := &candidate{command: o.Command, settings: o.Settings, log: o.Logger}
	defer func() { err = errors.Join(err, c.close()) }()
	p, err := c.alive(ctx)
	if err != nil {
		return nil, err
	}
	caps, err := p.Engine().Probe(ctx)
	if errdefs.IsNotImplemented(err) {
		caps, err = p.Description().Capabilities, nil
	}
	if err != nil {
		return nil, fmt.Errorf("what is behind the plugin does not answer, and so cannot be examined: %w", err)
	}
	report = &Report{Plugin: p.Description(), Capabilities: caps}
	env := &atomtest.Env{
		Engine: p.Engine(), Capabilities: caps, Image: o.Image, Program: o.Program, Volume: o.Volume,
		Owner: fmt.Sprintf("exam-%08x", rand.Uint32()),
	}
	dir, err := furnish(env, o)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	questions := choose(questions(c, env), o.Run)
	if len(questions) == 0 {
		return nil, &UsageError{fmt.Sprintf("no promise has a name that matches %q", o.Run)}
	}
	report.Results = examine(ctx, questions, o)
	report.Left = c.sweep(ctx, env)
	report.Took = time.Since(begun)
	if ctx.Err() != nil {
		return nil, fmt.Errorf("the exam was broken off: %w", ctx.Err())
	}
	return report, nil
}

// furnish gives env what its engine needs to run the probe, in a new directory
// that is the caller's to remove.
func furnish(env *atomtest.Env, o Options) (dir string, err error) {
	if env.Capabilities.Has(atom.CapImages) && env.Image == "" {
		return "", &UsageError{"the engine runs images: name the probe image as it knows it with --image; `plugin probe` writes it as an archive"}
	}
	if dir, err = os.MkdirTemp(o.Scratch, "atom-exam-"); err != nil {
		return "", err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(dir))
		}
	}()
	// Atoms may run as somebody else.
	if err := os.Chmod(dir, 0o755); err != nil {
		return dir, err
	}
	env.Scratch = dir + "/scratch"
	if err := os.Mkdir(env.Scratch, 0o755); err != nil {
		return dir, err
	}
	if env.Program == "" && !env.Capabilities.Has(atom.CapImages) {
		if env.Program, err = atomtest.CopyProbe(dir); err != nil {
			return dir, fmt.Errorf("making the probe program: %w", err)
		}
	}
	return dir, env.Check()
}

// question is a promise put to the candidate.
type question struct {
	part  string
	name  string
	lacks []atom.Capability
	ask   func(ctx context.Context) error
}

func questions(c *candidate, env *atomtest.Env) []question {
	var all []question
	add := func(part string, promises []atomtest.Promise) {
		for _, p := range promises {
			all = append(all, question{part, p.Name, env.Capabilities.Missing(p.Needs), func(ctx context.Context) error {
				return c.verify(ctx, p, env)
			}})
		}
	}
	// Those of the process come first, also because one takes half a minute.
	add("process", plugintest.Promises(plugintest.Candidate{Command: c.command, Config: c.decoded}))
	add("engine", atomtest.Promises())
	return all
}

// choose keeps the questions whose names match. As with `go test -run`, a
// space may be written as "_".
func choose(all []question, pattern *regexp.Regexp) []question {
	if pattern == nil {
		return all
	}
	return slices.DeleteFunc(all, func(q question) bool {
		return !pattern.MatchString(q.name) && !pattern.MatchString(strings.ReplaceAll(q.name, " ", "_"))
	})
}

// examine asks all questions, several at the same time, and returns when each
// has its result.
func examine(ctx context.Context, questions []question, o Options) []Result {
	results := make([]Result, len(questions))
	var mu sync.Mutex // results' fields are each goroutine's own; Progress is called one at a time
	left := len(questions)
	done := func(i int, r Result) {
		mu.Lock()
		defer mu.Unlock()
		results[i] = r
		left--
		if o.Progress != nil && ctx.Err() == nil {
			o.Progress(r, left)
		}
	}
	parallel := o.Parallel
	if parallel <= 0 {
		parallel = 8
	}
	slots := make(chan struct{}, parallel)
	var asking sync.WaitGroup
	var again []int // those under which the plugin ended, which may be another's doing
	for i, q := range questions {
		r := Result{Part: q.part, Promise: q.name}
		if len(q.lacks) > 0 {
			r.Outcome, r.Lacks = NotClaimed, q.lacks[0]
			done(i, r)
			continue
		}
		slots <- struct{}{}
		asking.Go(func() { // ends with the check, which has a deadline
			defer func() { <-slots }()
			var ended *endedError
			if r = ask(ctx, q, r); errors.As(r.Err, &ended) {
				mu.Lock()
				defer mu.Unlock()
				again = append(again, i)
				return
			}
			done(i, r)
		})
	}
	asking.Wait()
	slices.Sort(again)
	for _, i := range again {
		q := questions[i]
		done(i, ask(ctx, q, Result{Part: q.part, Promise: q.name}))
	}
	return results
}

func ask(ctx context.Context, q question, r Result) Result {
	begun := time.Now()
	if r.Err = ctx.Err(); r.Err == nil {
		r.Err = q.ask(ctx)
	}
	r.Took, r.Outcome = time.Since(begun), Pass
	if r.Err != nil {
		r.Outcome = Fail
	}
	return r
}
