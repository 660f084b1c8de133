// Package peers is a scheduler of the kind that was there before the router:
// it knows jobs and one engine, and of that the six methods and what their
// requests have held from the beginning. Its test runs it on a fleet.
package peers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/atom/container"
)

// Job is something to be run once.
type Job struct {
	Name, Image string
	Command     []string
	Env         map[string]string
	// Until is what the output says when the job is no longer needed: then it
	// is stopped. "" lets it end by itself.
	Until string
}

// Run is what became of a Job. Err says that it is not known.
type Run struct {
	Job              Job
	ID               string
	Result           atom.Result
	Output           string
	Started, Stopped time.Time
	Err              error
}

// Scheduler runs jobs on an engine.
type Scheduler struct {
	Engine   atom.Engine
	Parallel int // jobs at a time
}

// grace is what a job that is not needed any more may take to end.
const grace = 30 * time.Second

// Run runs all jobs and returns when all have ended, one Run for each, in the
// order of jobs.
func (s *Scheduler) Run(ctx context.Context, jobs []Job) []Run {
	runs := make([]Run, len(jobs))
	turns := make(chan struct{}, s.Parallel)
	var all sync.WaitGroup
	for i, job := range jobs {
		turns <- struct{}{}
		all.Go(func() { // ends with the job
			defer func() { <-turns }()
			runs[i] = s.run(ctx, job)
		})
	}
	all.Wait()
	return runs
}

func (s *Scheduler) run(ctx context.Context, job Job) Run {
	run := Run{Job: job}
	a, err := s.Engine.Create(&atom.EngineCreateRequest{
		Name: job.Name, Image: job.Image, Command: job.Command, Spec: container.Spec{Env: job.Env},
	})
	if err != nil {
		run.Err = fmt.Errorf("creating: %w", err)
		return run
	}
	run.ID = a.ID()
	output := make(chan error, 1)
	go func() { output <- s.follow(&run) }() // ends with the log
	ended, err := s.Engine.Wait(&atom.EngineWaitRequest{ID: run.ID, Context: ctx})
	if err != nil {
		err = fmt.Errorf("waiting: %w", err)
	}
	if run.Err = errors.Join(err, <-output); run.Err != nil {
		return run
	}
	if ended.State() != atom.Stopped {
		run.Err = fmt.Errorf("the wait is over, and it is %s", ended.State())
	}
	run.Result, run.Started, run.Stopped = ended.Result(), ended.StartedAt(), ended.StoppedAt()
	return run
}

// follow reads the output to its end, and stops the job when it says that it
// may be.
func (s *Scheduler) follow(run *Run) error {
	logs, err := s.Engine.Logs(&atom.EngineLogsRequest{ID: run.ID})
	if err != nil {
		return fmt.Errorf("asking for the log: %w", err)
	}
	defer logs.Close()
	var text strings.Builder
	defer func() { run.Output = text.String() }()
	needed := run.Job.Until != ""
	for piece := make([]byte, 4096); ; {
		n, err := logs.Read(piece)
		text.Write(piece[:n])
		if needed && strings.Contains(text.String(), run.Job.Until) {
			needed = false
			if err := s.Engine.Stop(&atom.EngineStopRequest{ID: run.ID, Timeout: grace}); err != nil {
				return fmt.Errorf("stopping: %w", err)
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading the log: %w", err)
		}
	}
}

// Audit compares the runs with what the engine has of the time since: each is
// there once, and is what Wait said that it was; and there is no other.
func (s *Scheduler) Audit(runs []Run, since time.Time) error {
	atoms, err := s.Engine.List(&atom.EngineListRequest{Since: since, Before: time.Now().Add(time.Minute)})
	if err != nil {
		return fmt.Errorf("listing: %w", err)
	}
	listed := make(map[string]int)
	for _, a := range atoms {
		listed[a.ID()]++
	}
	var errs []error
	for _, run := range runs {
		if listed[run.ID] != 1 {
			errs = append(errs, fmt.Errorf("%s (%s) is listed %d times", run.Job.Name, run.ID, listed[run.ID]))
		}
		delete(listed, run.ID)
		a, err := s.Engine.Get(&atom.EngineGetRequest{ID: run.ID})
		switch {
		case err != nil:
			errs = append(errs, fmt.Errorf("getting %s: %w", run.Job.Name, err))
		case a.State() != atom.Stopped || a.Result() != run.Result || !a.StoppedAt().Equal(run.Stopped):
			errs = append(errs, fmt.Errorf("%s is %s/%s since %v; it was %s at %v", run.Job.Name, a.State(), a.Result(), a.StoppedAt(), run.Result, run.Stopped))
		}
	}
	for id := range listed {
		errs = append(errs, fmt.Errorf("nobody knows of %s", id))
	}
	return errors.Join(errs...)
}
