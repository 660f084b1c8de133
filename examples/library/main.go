// Command library is a scheduler in small. It runs the jobs of a file, each
// once, and may be killed and started again at any time:
//
//	library CONFIG JOBS
//
// A line of JOBS is a job's key and its command. docs/library.md tells why it
// does what it does.
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/containerd/errdefs"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/atom/container"
	"github.com/atom-router/atom-router/router"
	"github.com/atom-router/atom-router/router/config"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1], os.Args[2]); err != nil {
		log.Fatal(err)
	}
}

// job is what this scheduler knows of a job before it asks for it.
type job struct{ key, command string }

func run(ctx context.Context, configPath, jobsPath string) error {
	cfg, err := config.Load(configPath)
	if err != nil {
		return err
	}
	engine, err := router.New(ctx, cfg, router.Options{})
	if err != nil {
		return err
	}
	defer engine.Close() // ends the plugins and no job
	jobs, err := read(jobsPath)
	if err != nil {
		return err
	}
	reports, errs := make([]string, len(jobs)), make([]error, len(jobs))
	var all sync.WaitGroup
	for n, j := range jobs {
		all.Go(func() {
			reports[n], errs[n] = finish(ctx, engine, j)
		})
	}
	all.Wait()
	fmt.Print(strings.Join(reports, ""))
	return errors.Join(errs...)
}

func read(path string) ([]job, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var jobs []job
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		key, command, _ := strings.Cut(lines.Text(), " ")
		jobs = append(jobs, job{key, command})
	}
	return jobs, lines.Err()
}

// finish brings a job to its end, however far an earlier life of this program
// has come with it, and reports it.
func finish(ctx context.Context, engine *router.Engine, j job) (string, error) {
	a, err := create(ctx, engine, j)
	if err != nil {
		return "", err
	}
	id := a.ID()
	if a, err = engine.Wait(&atom.EngineWaitRequest{Context: ctx, ID: id}); err != nil {
		return "", err
	}
	logs, err := engine.Logs(&atom.EngineLogsRequest{Context: ctx, ID: id})
	if err != nil {
		return "", err
	}
	defer logs.Close()
	var output strings.Builder
	if err := atom.CopyLogs(&output, &output, logs); err != nil {
		return "", err
	}
	report := fmt.Sprintf("%s: %s\n%s", j.key, a.Result(), &output)
	// A scheduler writes the report to its own store here. Until the atom is
	// deleted, a crash loses nothing.
	err = engine.Delete(&atom.EngineDeleteRequest{Context: ctx, ID: id})
	if errdefs.IsNotFound(err) {
		err = nil // another life of this program was faster
	}
	return report, err
}

// create makes the job's atom, or finds the one that there is under its key.
func create(ctx context.Context, engine *router.Engine, j job) (atom.Atom, error) {
	dir, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	for pause := 100 * time.Millisecond; ; pause = min(2*pause, time.Minute) {
		a, err := engine.Create(&atom.EngineCreateRequest{
			Context: ctx, Key: j.key, Name: j.key,
			Image: "none", Command: []string{"sh", "-c", j.command},
			Spec: container.Spec{WorkDir: dir},
		})
		if !errdefs.IsUnavailable(err) && !errdefs.IsResourceExhausted(err) {
			return a, err // made or found; or wrong, and wrong next time too
		}
		// Nobody answers, or there is no room, or it is not known whether
		// the atom was made (*atom.OutcomeUnknown). The key makes it safe to
		// ask again.
		log.Printf("%s: %v; again in %v", j.key, err, pause)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}
