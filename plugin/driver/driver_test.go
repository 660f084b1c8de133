package driver_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/containerd/errdefs"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/atom/atomtest"
	"github.com/atom-router/atom-router/plugin/driver"
)

// children runs processes.
type children struct{}

func (children) Start(_ context.Context, r *atom.EngineCreateRequest, stdout, stderr io.Writer) (driver.Job, error) {
	args := slices.Concat(r.Spec.Entrypoint, r.Command)
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir, cmd.Env = r.Spec.WorkDir, []string{"PATH=" + os.Getenv("PATH")}
	for k, v := range r.Spec.Env {
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = stdout, stderr, time.Second
	return child{cmd}, cmd.Start()
}

type child struct{ *exec.Cmd }

func (c child) Wait() (atom.Exit, error) {
	c.Cmd.Wait()
	return driver.ExitOf(c.ProcessState), nil
}

func (c child) Stop(force bool) error {
	var signal os.Signal = os.Kill
	if !force {
		signal = syscall.SIGTERM
	}
	if err := c.Process.Signal(signal); !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return nil
}

func TestConformance(t *testing.T) {
	atomtest.Run(t, atomtest.Harness{New: func(t *testing.T) *atomtest.Env {
		program, err := atomtest.BuildProbe(t.Context(), t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		e := driver.New(children{}, driver.Options{})
		t.Cleanup(func() { e.Close() })
		return &atomtest.Env{Engine: e, Capabilities: driver.Capabilities(), Program: program}
	}})
}

// fake is a driver and its jobs in one: they end when they are killed, unless
// the test says otherwise.
type fake struct {
	start   func(context.Context, *atom.EngineCreateRequest) error // before a job starts
	wait    func() (atom.Exit, error)                              // in place of waiting for a kill
	stop    func(force bool) error                                 // in place of one
	started atomic.Int32
	ended   atomic.Int32
}

type fakeJob struct {
	*fake
	killed chan struct{}
	once   sync.Once
}

func (f *fake) Start(ctx context.Context, r *atom.EngineCreateRequest, stdout, _ io.Writer) (driver.Job, error) {
	if f.start != nil {
		if err := f.start(ctx, r); err != nil {
			return nil, err
		}
	}
	f.started.Add(1)
	fmt.Fprintln(stdout, "started")
	return &fakeJob{fake: f, killed: make(chan struct{})}, nil
}

func (j *fakeJob) Wait() (atom.Exit, error) {
	defer j.ended.Add(1)
	if j.wait != nil {
		return j.wait()
	}
	<-j.killed
	code := 137
	return atom.Exit{Code: &code}, nil
}

func (j *fakeJob) Stop(force bool) error {
	if j.stop != nil {
		if err := j.stop(force); err != nil {
			return err
		}
	}
	if force {
		j.once.Do(func() { close(j.killed) })
	}
	return nil
}

func engine(t *testing.T, d driver.Driver, o driver.Options) *driver.Engine {
	t.Helper()
	e := driver.New(d, o)
	t.Cleanup(func() { e.Close() })
	return e
}

func request(key string) *atom.EngineCreateRequest {
	return &atom.EngineCreateRequest{Image: "none", Command: []string{"x"}, Key: key}
}

func create(t *testing.T, e *driver.Engine, r *atom.EngineCreateRequest) atom.Atom {
	t.Helper()
	a, err := e.Create(r)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func count(t *testing.T, e *driver.Engine) int {
	t.Helper()
	list, err := e.List(&atom.EngineListRequest{})
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

func TestConcurrentCreatesOfAKeyStartOnce(t *testing.T) {
	entered, let := make(chan struct{}), make(chan struct{})
	f := &fake{start: func(context.Context, *atom.EngineCreateRequest) error { close(entered); <-let; return nil }}
	e := engine(t, f, driver.Options{})
	ids := make(chan string, 10)
	for range cap(ids) {
		go func() { // ends with the create
			a, err := e.Create(request("k"))
			if err != nil {
				t.Error(err)
				ids <- ""
				return
			}
			ids <- a.ID()
		}()
	}
	<-entered
	other := request("k")
	other.Command = []string{"y"}
	if _, err := e.Create(other); !errdefs.IsAlreadyExists(err) {
		t.Errorf("another request under the key while the first one starts: %v", err)
	}
	if n := count(t, e); n != 0 {
		t.Errorf("%d atoms exist before one has started", n)
	}
	close(let)
	first := <-ids
	for range cap(ids) - 1 {
		if id := <-ids; id != first {
			t.Errorf("atoms %q and %q under one key", first, id)
		}
	}
	if n := f.started.Load(); n != 1 {
		t.Errorf("%d jobs were started", n)
	}
}

// TestAbandonedCreate: where all who asked have gone, Start is told, and a job
// that it starts all the same is ended before the key is free again.
func TestAbandonedCreate(t *testing.T) {
	entered := make(chan struct{}, 2)
	var first atomic.Bool
	f := &fake{}
	f.start = func(ctx context.Context, _ *atom.EngineCreateRequest) error {
		entered <- struct{}{}
		if first.CompareAndSwap(false, true) {
			<-ctx.Done()
		} else if f.ended.Load() != 1 {
			t.Error("the second job starts beside the first")
		}
		return nil
	}
	e := engine(t, f, driver.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	gone := make(chan error)
	go func() { // ends with the create
		r := request("k")
		r.Context = ctx
		_, err := e.Create(r)
		gone <- err
	}()
	<-entered
	cancel()
	if err := <-gone; !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	a := create(t, e, request("k"))
	if f.started.Load() != 2 || f.ended.Load() != 1 || count(t, e) != 1 {
		t.Errorf("%d jobs started, %d ended, %d atoms", f.started.Load(), f.ended.Load(), count(t, e))
	}
	if b := create(t, e, request("k")); a.ID() != b.ID() {
		t.Errorf("atoms %q and %q under one key", a.ID(), b.ID())
	}
}

// TestOneOfTwoLeaves: the other one gets the atom.
func TestOneOfTwoLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		let, starts := make(chan struct{}), 0
		e := engine(t, &fake{start: func(ctx context.Context, _ *atom.EngineCreateRequest) error {
			starts++
			<-let
			return ctx.Err()
		}}, driver.Options{})
		ctx, cancel := context.WithCancel(t.Context())
		ends := make(chan error, 2)
		for _, ctx := range []context.Context{ctx, t.Context()} {
			go func() { // ends with the create
				r := request("k")
				r.Context = ctx
				_, err := e.Create(r)
				ends <- err
			}()
		}
		synctest.Wait() // until both wait
		cancel()
		if err := <-ends; !errors.Is(err, context.Canceled) {
			t.Errorf("who left: %v", err)
		}
		close(let)
		if err := <-ends; err != nil {
			t.Errorf("who stayed: %v", err)
		}
		if starts != 1 {
			t.Errorf("%d starts", starts)
		}
	})
}

// TestProgress: all who wait are told, and nobody who has left.
func TestProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		let := make(chan struct{})
		e := engine(t, &fake{start: func(_ context.Context, r *atom.EngineCreateRequest) error {
			<-let
			r.Report(atom.Progress{Text: "one"})
			<-let
			r.Report(atom.Progress{Text: "two"})
			return nil
		}}, driver.Options{})
		ctx, cancel := context.WithCancel(t.Context())
		told := make([]string, 3)
		var creates sync.WaitGroup
		for i, ctx := range []context.Context{ctx, t.Context(), t.Context()} {
			creates.Go(func() {
				r := request("k")
				r.Context = ctx
				if i < 2 {
					r.Progress = func(p atom.Progress) { told[i] += p.Text }
				}
				if _, err := e.Create(r); (err == nil) != (i > 0) {
					t.Errorf("create %d: %v", i, err)
				}
			})
		}
		synctest.Wait() // until all wait
		let <- struct{}{}
		synctest.Wait()
		cancel()
		synctest.Wait()
		let <- struct{}{}
		creates.Wait()
		if want := []string{"one", "onetwo", ""}; !slices.Equal(told, want) {
			t.Errorf("told %q, want %q", told, want)
		}
	})
}

func TestStartsErrorIsCreates(t *testing.T) {
	full := true
	e := engine(t, &fake{start: func(_ context.Context, r *atom.EngineCreateRequest) error {
		if r.Owner != atom.DefaultOwner || r.Key == "" || r.Context == nil {
			t.Errorf("Start was given owner %q, key %q", r.Owner, r.Key)
		}
		if full {
			return atom.Errorf(errdefs.ErrResourceExhausted, "no room")
		}
		return nil
	}}, driver.Options{})
	if _, err := e.Create(request("k")); !errdefs.IsResourceExhausted(err) || err.Error() != "no room" {
		t.Errorf("got %v", err)
	}
	if n := count(t, e); n != 0 {
		t.Errorf("it left %d atoms", n)
	}
	full = false
	create(t, e, request("k"))
	create(t, e, request(""))
}

func TestPanics(t *testing.T) {
	e := engine(t, &fake{start: func(context.Context, *atom.EngineCreateRequest) error { panic("ouch") }}, driver.Options{})
	if _, err := e.Create(request("")); !errdefs.IsInternal(err) || !strings.Contains(err.Error(), "panicked in Start: ouch") {
		t.Errorf("start: %v", err)
	}

	e = engine(t, &fake{wait: func() (atom.Exit, error) { panic("ouch") }}, driver.Options{})
	a, err := e.Wait(&atom.EngineWaitRequest{ID: create(t, e, request("")).ID()})
	if err != nil {
		t.Fatal(err)
	}
	if i := atom.InfoOf(a); i.State != atom.Stopped || i.Result != atom.Unknown || !strings.Contains(i.Message, "panicked in Wait: ouch") {
		t.Errorf("after a panic in Wait the atom is %+v", i)
	}

	var calm atomic.Bool
	e = engine(t, &fake{stop: func(bool) error {
		if calm.Load() {
			return nil
		}
		panic("ouch")
	}}, driver.Options{})
	err = e.Stop(&atom.EngineStopRequest{ID: create(t, e, request("")).ID()})
	if !errdefs.IsInternal(err) || !strings.Contains(err.Error(), "panicked in Stop: ouch") {
		t.Errorf("stop: %v", err)
	}
	calm.Store(true)
}

func TestStopThatFails(t *testing.T) {
	var answers atomic.Bool
	e := engine(t, &fake{stop: func(bool) error {
		if answers.Load() {
			return nil
		}
		return atom.Errorf(errdefs.ErrUnavailable, "nobody there")
	}}, driver.Options{})
	id := create(t, e, request("")).ID()
	for what, err := range map[string]error{
		"stop":   e.Stop(&atom.EngineStopRequest{ID: id}),
		"delete": e.Delete(&atom.EngineDeleteRequest{ID: id, Force: true}),
	} {
		if !errdefs.IsUnavailable(err) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if a, err := e.Get(&atom.EngineGetRequest{ID: id}); err != nil || a.State() != atom.Running {
		t.Errorf("it is %v, %v", a.State(), err)
	}
	answers.Store(true)
	if err := e.Stop(&atom.EngineStopRequest{ID: id, Force: true}); err != nil {
		t.Error(err)
	}
	if a, err := e.Get(&atom.EngineGetRequest{ID: id}); err != nil || a.Result() != atom.Killed {
		t.Errorf("it is %v, %v", a.Result(), err)
	}
}

func TestWaitsErrorIsTheMessage(t *testing.T) {
	e := engine(t, &fake{wait: func() (atom.Exit, error) { return atom.Exit{Reclaimed: true}, errors.New("the machine went away") }}, driver.Options{})
	a, err := e.Wait(&atom.EngineWaitRequest{ID: create(t, e, request("")).ID()})
	if err != nil {
		t.Fatal(err)
	}
	if i := atom.InfoOf(a); i.Result != atom.ResourceFailure || i.Message != "the machine went away" {
		t.Errorf("got %+v", i)
	}
}

func TestClose(t *testing.T) {
	entered := make(chan struct{})
	f := &fake{}
	f.start = func(ctx context.Context, r *atom.EngineCreateRequest) error {
		if r.Key == "slow" {
			close(entered)
			<-ctx.Done()
		}
		return nil
	}
	e := driver.New(f, driver.Options{})
	a := create(t, e, request(""))
	waited := make(chan error)
	go func() { // ends with the wait
		a, err := e.Wait(&atom.EngineWaitRequest{ID: a.ID()})
		if err == nil && a.Result() != atom.Killed {
			err = fmt.Errorf("it is %v", a.Result())
		}
		waited <- err
	}()
	created := make(chan error)
	go func() { // ends with the create
		_, err := e.Create(request("slow"))
		created <- err
	}()
	<-entered
	e.Close()
	e.Close()
	if f.started.Load() != 2 || f.ended.Load() != 2 {
		t.Errorf("%d jobs started, %d ended", f.started.Load(), f.ended.Load())
	}
	if err := <-created; !errdefs.IsUnavailable(err) {
		t.Errorf("a create under way: %v", err)
	}
	if err := <-waited; err != nil && !errdefs.IsUnavailable(err) {
		t.Errorf("a wait under way: %v", err)
	}
	_, get := e.Get(&atom.EngineGetRequest{ID: a.ID()})
	_, made := e.Create(request(""))
	for what, err := range map[string]error{"get": get, "create": made} {
		if !errdefs.IsUnavailable(err) {
			t.Errorf("%s after Close: %v", what, err)
		}
	}
}

type probed struct{ fake }

func (*probed) Probe(context.Context) (atom.Capabilities, error) {
	return atom.Capabilities{atom.CapGPUs}, nil
}

func TestProbe(t *testing.T) {
	plain := engine(t, &fake{}, driver.Options{Capabilities: atom.Capabilities{atom.CapCPU}})
	asked := engine(t, &probed{}, driver.Options{Capabilities: atom.Capabilities{atom.CapCPU, atom.CapGPUs}})
	for c, e := range map[atom.Capability]*driver.Engine{atom.CapCPU: plain, atom.CapGPUs: asked} {
		got, err := e.Probe(t.Context())
		if want := driver.Capabilities(c); err != nil || len(got) != len(want) || len(got.Missing(want)) > 0 {
			t.Errorf("got %v, %v, want %v", got, err, want)
		}
	}
}

func TestLimitOfLogs(t *testing.T) {
	e := engine(t, &fake{}, driver.Options{LogBytes: 1})
	logs, err := e.Logs(&atom.EngineLogsRequest{ID: create(t, e, request("")).ID(), NoFollow: true})
	if err != nil {
		t.Fatal(err)
	}
	if out, err := io.ReadAll(logs); err != nil || string(out) != "started\n" {
		t.Errorf("got %q, %v", out, err)
	}
}
