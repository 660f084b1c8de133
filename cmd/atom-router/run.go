package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/atom-router/atom-router/atom"
)

func (a *app) runCommand() *cobra.Command {
	var detach, keep, quiet bool
	cmd := &cobra.Command{
		Use:   "run [flags] IMAGE [-- COMMAND ARG…]",
		Short: "Run a job to its end: its output, its exit code",
		Long: `Create an atom on the backend that the rules choose, print its output as it
comes, and exit with its code. The atom is deleted once output and exit code
are delivered; --keep, --detach, an error or a second Ctrl-C keep it and print
its ID. The first Ctrl-C or SIGTERM stops the job with its grace.`,
		Example: `  atom-router run alpine -- echo hello
  atom-router run -e STAGE=test --memory 512m --cpus 2 builder:7 -- make test
  id=$(atom-router run -d alpine -- sleep 60)`,
		Args: cobra.ArbitraryArgs,
	}
	flags := a.addRequestFlags(cmd)
	cmd.Flags().BoolVarP(&detach, "detach", "d", false, "print the ID and leave the job running")
	cmd.Flags().BoolVar(&keep, "keep", false, "keep the atom afterwards, and print its ID to stderr")
	addQuiet(cmd, &quiet)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		req, err := flags.request(args)
		if err != nil {
			return err
		}
		display := a.progress(req, quiet)
		return a.withFleet(cmd.Context(), func(r fleet) error {
			j := &job{app: a, router: r, keep: keep, display: display}
			return j.run(cmd.Context(), req, detach)
		})
	}
	return cmd
}

// job is one `run`.
type job struct {
	app    *app
	router fleet
	keep   bool
	// display is nil where no progress is wanted.
	display *display
	id      string
}

// ended is how a job ended, or why that is not known.
type ended struct {
	atom atom.Atom
	err  error
}

func (j *job) run(ctx context.Context, req *atom.EngineCreateRequest, detach bool) error {
	signals, stop := interrupts()
	defer stop()
	// The second interrupt ends whatever is under way.
	ctx, leave := context.WithCancel(ctx)
	defer leave()

	made, err := j.create(ctx, req, signals)
	if err != nil {
		return err
	}
	j.id = made.ID()
	j.display.over()
	if detach {
		if err := j.app.printMade(made); err != nil {
			fmt.Fprintf(j.app.stderr, "Left running: %s\n", j.id)
			return err
		}
		return nil
	}
	done := make(chan ended, 1)
	go func() { // ends with the job, or with ctx
		one, err := j.follow(ctx, made.State() == atom.Created)
		done <- ended{one, err}
	}()
	gone := make(chan error, 1)
	go func() { // ends with ctx
		gone <- vigil{
			every: askEvery, patience: awayTime,
			ask: func(ctx context.Context) error { return answers(ctx, j.router, backendOf(j.id)) },
			say: func(text string) { fmt.Fprintln(j.app.stderr, harmless(text)) },
		}.keep(ctx)
	}()
	interrupted := false
	for {
		select {
		case e := <-done:
			return j.finish(ctx, e)
		case err := <-gone:
			if err != nil {
				return j.finish(ctx, ended{err: err})
			}
		case s := <-signals:
			if interrupted {
				fmt.Fprintf(j.app.stderr, "Left running: %s\n", j.id)
				return exit(codeInterrupt)
			}
			interrupted = true
			fmt.Fprintf(j.app.stderr, "Stopping %s on %s; once more leaves it running\n", j.id, s)
			go j.stop(ctx) // ends with the stop, or with ctx
		}
	}
}

// create makes the atom; an interrupt takes it back.
func (j *job) create(ctx context.Context, req *atom.EngineCreateRequest, signals <-chan os.Signal) (atom.Atom, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan ended, 1)
	r := *req
	r.Context = ctx
	go func() { // ends with the create, which ends with ctx
		made, err := j.router.Create(&r)
		done <- ended{made, err}
	}()
	select {
	case e := <-done:
		return e.atom, e.err
	case <-signals:
		cancel()
		e := <-done
		if e.err == nil { // made all the same: the interrupt asks for its end
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), deleteTime)
			defer cancel()
			if err := j.router.Delete(&atom.EngineDeleteRequest{ID: e.atom.ID(), Force: true, Context: ctx}); err != nil {
				fmt.Fprintf(j.app.stderr, "Kept: %s\n", e.atom.ID())
				return nil, &exitError{code: codeInterrupt, err: err}
			}
			return nil, exit(codeInterrupt)
		}
		return nil, &exitError{code: codeInterrupt, err: e.err}
	}
}

// follow prints the job's output and returns the atom once it has stopped.
func (j *job) follow(ctx context.Context, starts bool) (atom.Atom, error) {
	stdout := j.app.stdout
	if starts && j.display != nil {
		stdout = j.display.before(stdout)
		defer j.tellStart(ctx)()
	}
	logs, err := j.router.Logs(&atom.EngineLogsRequest{ID: j.id, Context: ctx})
	if err != nil {
		return nil, err
	}
	defer logs.Close()
	if err := atom.CopyLogs(stdout, j.app.stderr, logs); err != nil {
		return nil, err
	}
	return j.router.Wait(&atom.EngineWaitRequest{ID: j.id, Context: ctx})
}

// tellStart shows why the job has not started, until it has or the function
// that it returns is called.
func (j *job) tellStart(ctx context.Context) (end func()) {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() { // ends with the start, or with end
		defer close(ended)
		j.display.starting(ctx, func(ctx context.Context) (atom.Atom, error) {
			return j.router.Get(&atom.EngineGetRequest{ID: j.id, Context: ctx})
		})
	}()
	return func() { cancel(); <-ended }
}

func (j *job) stop(ctx context.Context) {
	err := j.router.Stop(&atom.EngineStopRequest{ID: j.id, Context: ctx})
	if err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintf(j.app.stderr, "Error: %v\n", err)
	}
}

// finish deletes the atom whose output and end are delivered, and exits as it
// did.
func (j *job) finish(ctx context.Context, e ended) error {
	if e.err != nil {
		fmt.Fprintf(j.app.stderr, "Kept: %s\n", j.id)
		return e.err
	}
	info := atom.InfoOf(e.atom)
	if why := endText(info); why != "" {
		fmt.Fprintf(j.app.stderr, "%s: %s\n", j.id, why)
	}
	if j.keep {
		fmt.Fprintf(j.app.stderr, "Kept: %s\n", j.id)
		return exit(jobCode(e.atom))
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), deleteTime)
	defer cancel()
	if err := j.router.Delete(&atom.EngineDeleteRequest{ID: j.id, Context: ctx}); err != nil {
		// The job's code is known and goes first.
		fmt.Fprintf(j.app.stderr, "Error: %v\nKept: %s\n", err, j.id)
	}
	return exit(jobCode(e.atom))
}

// endText says why a job did not end well, where its code alone does not.
func endText(info atom.Info) string {
	switch info.Result {
	case atom.Success:
		return ""
	case atom.Failure:
		if info.Message == "" {
			return ""
		}
	}
	text := string(info.Result)
	if info.Message != "" {
		text += ": " + harmless(info.Message)
	}
	return text
}

const (
	// deleteTime bounds the deletion after a job whose code is known.
	deleteTime = 30 * time.Second
	// askEvery is how often the backend of a job that runs is asked whether
	// it is there, and awayTime how long it may be away.
	askEvery = 2 * time.Second
	awayTime = 2 * time.Minute
)
