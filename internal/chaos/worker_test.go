//go:build linux

package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/hashicorp/go-hclog"
	"go.uber.org/goleak"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/plugin"
	"github.com/atom-router/atom-router/router"
)

// setup is what routers of one run have in common.
type setup struct {
	Dir        string `json:"dir"`
	DockerHost string `json:"dockerHost"`
	Kubeconfig string `json:"kubeconfig"`
	StateDir   string `json:"stateDir"`
	Program    string `json:"program"` // the probe on this machine
	Image      string `json:"image"`
}

// label says which backend a job is for.
const (
	toLabel  = "to"
	jobLabel = "job"
)

// settings are decoded already.
type settings map[string]string

func (s settings) Decode(plugin.Schema) ([]byte, error) { return json.Marshal(s) }
func (s settings) Explain(err error) error              { return err }
func (s settings) Equal(router.Settings) bool           { return false }

// router makes a router of the run for an owner.
func (s setup) router(ctx context.Context, owner string, log hclog.Logger) (*router.Engine, error) {
	tier := func(backend string) router.Tier {
		return router.Tier{Targets: []router.Target{{Backend: backend, Weight: 1}}}
	}
	c := router.Config{
		Owner: owner, PluginDirs: []string{filepath.Join(s.Dir, "plugins")},
		Backends: []router.Backend{
			{Name: "host", Plugin: "process", Settings: settings{"state_dir": s.StateDir}},
			{Name: "docker", Plugin: "docker", Settings: settings{"host": s.DockerHost}},
			{Name: "kube", Plugin: "kube", Settings: settings{"kubeconfig": s.Kubeconfig}},
		},
	}
	for to, tiers := range map[string][]router.Tier{
		"host": {tier("host")}, "docker": {tier("docker")}, "kube": {tier("kube")}, anyOf: {tier("docker"), tier("kube")},
	} {
		pattern, err := router.ParsePattern(to)
		if err != nil {
			return nil, err
		}
		c.Rules = append(c.Rules, router.Rule{Name: to, Tiers: tiers, Match: router.Match{Labels: map[string][]router.Pattern{toLabel: {pattern}}}})
	}
	return router.New(ctx, c, router.Options{NoJanitor: true, Logger: log})
}

func (s setup) request(j *job) *atom.EngineCreateRequest {
	r := &atom.EngineCreateRequest{Image: s.Image, Command: j.Command, Key: j.key()}
	r.Spec.Labels = map[string]string{toLabel: j.Backend, jobLabel: fmt.Sprint(j.N)}
	switch {
	case j.Program != "":
		r.Spec.Entrypoint = []string{j.Program}
	case j.Backend == "host":
		r.Spec.Entrypoint = []string{s.Program}
	default:
		r.Spec.Entrypoint = []string{"/probe"}
	}
	return r
}

// report is what a router says: of a job, or at its end of itself.
type report struct {
	N       int         `json:"n"`
	ID      string      `json:"id"`
	Output  []byte      `json:"output"`
	State   atom.State  `json:"state"`
	Result  atom.Result `json:"result"`
	Code    int         `json:"code"` // -1 is none
	Message string      `json:"message"`
	Wrong   string      `json:"wrong"`   // what should not have happened
	Lost    bool        `json:"lost"`    // the engine said that output is missing
	Refused bool        `json:"refused"` // it is that the backend made no atom
	Retries int         `json:"retries"` // calls that were Unavailable
	Resumed int         `json:"resumed"` // logs that the caller had to take up again

	Ended bool `json:"ended"`
}

// routerMain is a process with a router: it runs the jobs that come on stdin
// and reports on stdout, until stdin ends.
func routerMain() int {
	in, out := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	var s setup
	if err := in.Decode(&s); err != nil {
		return 1
	}
	log := hclog.New(&hclog.LoggerOptions{Level: hclog.Debug, Output: os.Stderr})
	files := openFiles()
	e, err := s.router(context.Background(), owner, log)
	if err != nil {
		log.Error("no router", "error", err)
		return 1
	}
	var mu sync.Mutex
	tell := func(r report) {
		mu.Lock()
		defer mu.Unlock()
		_ = out.Encode(r) // nobody listens where the test has ended
	}
	var jobs sync.WaitGroup
	for {
		var j job
		if err := in.Decode(&j); err != nil {
			break
		}
		jobs.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), jobTime)
			defer cancel()
			r := run{e: e, s: s, j: &j, report: report{N: j.N, Code: -1}}
			if err := r.all(ctx); err != nil {
				r.Wrong = err.Error()
			}
			tell(r.report)
		})
	}
	jobs.Wait()
	end := report{Ended: true}
	var wrong []error
	wrong = append(wrong, e.Close(), goleak.Find())
	if now := openFiles(); len(now) > len(files) {
		wrong = append(wrong, fmt.Errorf("%d files are open, and %d were at first: %v", len(now), len(files), now))
	}
	if err := errors.Join(wrong...); err != nil {
		end.Wrong = err.Error()
	}
	tell(end)
	return 0
}

func openFiles() []string {
	entries, _ := os.ReadDir("/proc/self/fd")
	var all []string
	for _, e := range entries {
		if to, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil {
			all = append(all, to)
		}
	}
	return all
}

// jobTime is how long a job may take, with all that befalls it.
const jobTime = 5 * time.Minute

// run is one job at one router.
type run struct {
	report
	e *router.Engine
	s setup
	j *job
}

// all does what a scheduler does: it creates, reads, stops where it has to, and
// waits; what is Unavailable it asks again.
func (r *run) all(ctx context.Context) error {
	var made atom.Atom
	create := func() (err error) {
		req := r.s.request(r.j)
		req.Context = ctx
		made, err = r.e.Create(req)
		return err
	}
	if err := r.persist(ctx, "create", create); err != nil {
		r.Refused = errdefs.IsInvalidArgument(err) || errdefs.IsFailedPrecondition(err)
		return err
	}
	r.ID = made.ID()
	if r.j.Twice {
		if err := r.persist(ctx, "create again", create); err != nil {
			return err
		}
		if made.ID() != r.ID {
			return fmt.Errorf("the Key made %s and %s", r.ID, made.ID())
		}
	}
	if err := r.logs(ctx); err != nil {
		return err
	}
	return r.persist(ctx, "wait", func() error {
		a, err := r.e.Wait(&atom.EngineWaitRequest{ID: r.ID, Context: ctx})
		if err == nil {
			info := atom.InfoOf(a)
			r.State, r.Result, r.Message = info.State, info.Result, info.Message
			if info.ExitCode != nil {
				r.Code = *info.ExitCode
			}
		}
		return err
	})
}

// persist asks until the answer is another than that nobody is there.
func (r *run) persist(ctx context.Context, what string, call func() error) error {
	for {
		err := call()
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return fmt.Errorf("%s: not within %v: %w", what, jobTime, err)
		case !errdefs.IsUnavailable(err) && !errdefs.IsResourceExhausted(err):
			return fmt.Errorf("%s: %w", what, err)
		}
		r.Retries++
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

func (r *run) logs(ctx context.Context) error {
	cursor, sure := "", 0
	var stopping sync.Once
	stopped := make(chan error, 1)
	stopped <- nil
	err := r.persist(ctx, "logs", func() error {
		if cursor != "" {
			r.Resumed++
		}
		r.Output = r.Output[:sure]
		logs, err := r.e.Logs(&atom.EngineLogsRequest{ID: r.ID, Cursor: cursor, Context: ctx})
		if err != nil {
			return err
		}
		defer logs.Close()
		reader := logs.(*atom.LogReader)
		for {
			chunk, err := reader.Next()
			if errors.Is(err, io.EOF) {
				return nil
			}
			if errdefs.IsDataLoss(err) {
				r.Lost = true
				return nil
			}
			if err != nil {
				return err
			}
			r.Output = append(r.Output, chunk.Data...)
			if chunk.Cursor != "" {
				cursor, sure = chunk.Cursor, len(r.Output)
			}
			time.Sleep(r.j.Slow * time.Duration(len(chunk.Data)) / 1024)
			if r.j.StopAt != "" && strings.Contains(string(r.Output), r.j.StopAt) {
				stopping.Do(func() {
					<-stopped
					go func() { stopped <- r.stop(ctx) }() // ends with ctx
				})
			}
		}
	})
	return errors.Join(err, <-stopped)
}

func (r *run) stop(ctx context.Context) error {
	return (&run{e: r.e}).persist(ctx, "stop", func() error {
		return r.e.Stop(&atom.EngineStopRequest{ID: r.ID, Context: ctx})
	})
}
