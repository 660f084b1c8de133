package docker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"
	"go.uber.org/goleak"

	"github.com/atom-router/atom-router/atom"
	spec "github.com/atom-router/atom-router/atom/container"
	"github.com/atom-router/atom-router/internal/testenv"
)

const probeImage = testenv.ProbeImage

// dockerd is a private daemon that a test may kill. Containers live on
// without it.
type dockerd struct {
	*testenv.Daemon
	host string
}

func startDockerd(t *testing.T) *dockerd {
	t.Helper()
	d := testenv.StartDocker(t)
	return &dockerd{d, d.Host()}
}

func (d *dockerd) kill(t *testing.T) {
	t.Helper()
	if err := d.Kill(); err != nil {
		t.Fatal(err)
	}
}

func (d *dockerd) start(t *testing.T) {
	t.Helper()
	if err := d.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func (d *dockerd) client(t *testing.T) *client.Client {
	t.Helper()
	c, err := client.NewClientWithOpts(client.WithHost(d.host), client.WithVersion(oldestAPI))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func (d *dockerd) engine(t *testing.T, c Config) *Engine {
	t.Helper()
	c.Host, c.Network = d.host, "none"
	e, err := New(t.Context(), c, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within a minute: %s", what)
		}
	}
}

func create(t *testing.T, e *Engine, key string, command ...string) atom.Atom {
	t.Helper()
	a, err := e.Create(&atom.EngineCreateRequest{Image: probeImage, Command: command, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func count(t *testing.T, e *Engine) int {
	t.Helper()
	all, err := e.List(&atom.EngineListRequest{})
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

// readAll reads a log as plain bytes.
func readAll(e *Engine, r atom.EngineLogsRequest) (string, error) {
	rd, err := e.Logs(&r)
	if err != nil {
		return "", err
	}
	defer rd.Close()
	text, err := io.ReadAll(rd)
	return string(text), err
}

func TestRealDaemon(t *testing.T) {
	ignore := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, ignore) })
	d := startDockerd(t)
	for _, test := range []struct {
		name string
		run  func(*testing.T, *dockerd)
	}{
		{"one key makes one atom", testOneKey},
		{"a half-made atom is finished", testHalfMade},
		{"a name taken by others", testForeignName},
		{"a failed start leaves nothing", testFailedStart},
		{"a cancelled create leaves nothing", testCancelledCreate},
		{"others' containers do not exist", testForeignContainers},
		{"removed under wait and logs", testRemovedUnder},
		{"waits and logs over a restart", testRestart},
		{"a daemon that comes back", testComesBack},
		{"exact bytes", testExactBytes},
		{"pull with credentials", testPull},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, d) })
	}
}

func testOneKey(t *testing.T, d *dockerd) {
	engines := []*Engine{d.engine(t, Config{}), d.engine(t, Config{})}
	var wg sync.WaitGroup
	ids := make([]string, 8)
	for i := range ids {
		wg.Go(func() {
			a, err := engines[i%2].Create(&atom.EngineCreateRequest{Image: probeImage, Command: []string{"print", "once"}, Key: "one"})
			if err != nil {
				t.Error(err)
				return
			}
			ids[i] = a.ID()
		})
	}
	wg.Wait()
	for _, id := range ids {
		if id != ids[0] {
			t.Fatalf("two atoms: %s and %s", ids[0], id)
		}
	}
	if text, err := readAll(engines[0], atom.EngineLogsRequest{ID: ids[0]}); text != "once\n" || err != nil {
		t.Fatalf("got %q, %v: it ran twice or not at all", text, err)
	}
	_, err := engines[0].Create(&atom.EngineCreateRequest{Image: probeImage, Command: []string{"print", "twice"}, Key: "one"})
	if !errdefs.IsAlreadyExists(err) {
		t.Fatalf("another request under the key: %v", err)
	}
	if a, err := engines[1].Lookup(&atom.EngineLookupRequest{Key: "one"}); err != nil || a.ID() != ids[0] {
		t.Fatalf("lookup: %v, %v", a, err)
	}
}

func testHalfMade(t *testing.T, d *dockerd) {
	e := d.engine(t, Config{})
	r := &atom.EngineCreateRequest{Image: probeImage, Command: []string{"print", "late"}, Key: "half"}
	make := func() string {
		made, err := d.client(t).ContainerCreate(t.Context(), e.configFor(r, time.Now().Add(-time.Minute)), e.hostConfigFor(r), nil, nil, atom.NativeName("", "half"))
		if err != nil {
			t.Fatal(err)
		}
		return made.ID
	}
	id := make()
	if a, err := e.Get(&atom.EngineGetRequest{ID: id}); err != nil || a.State() != atom.Created {
		t.Fatalf("half-made: %v, %v", a, err)
	}
	if err := e.Delete(&atom.EngineDeleteRequest{ID: id}); err != nil {
		t.Fatalf("deleting a half-made one: %v", err)
	}
	id = make()
	a, err := e.Create(r)
	if err != nil || a.ID() != id {
		t.Fatalf("got %v, %v; want %s", a, err, id)
	}
	if text, err := readAll(e, atom.EngineLogsRequest{ID: id}); text != "late\n" || err != nil {
		t.Fatalf("got %q, %v", text, err)
	}
}

func testForeignName(t *testing.T, d *dockerd) {
	e := d.engine(t, Config{})
	_, err := d.client(t).ContainerCreate(t.Context(), &container.Config{Image: probeImage}, nil, nil, nil, atom.NativeName("", "taken"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.Create(&atom.EngineCreateRequest{Image: probeImage, Key: "taken"}); !errdefs.IsAlreadyExists(err) {
		t.Fatalf("create: %v", err)
	}
	if _, err := e.Lookup(&atom.EngineLookupRequest{Key: "taken"}); !errdefs.IsNotFound(err) {
		t.Fatalf("lookup: %v", err)
	}
}

func testFailedStart(t *testing.T, d *dockerd) {
	e := d.engine(t, Config{})
	before := count(t, e)
	for name, test := range map[string]struct {
		r     atom.EngineCreateRequest
		class func(error) bool
		says  string
	}{
		"no program":     {atom.EngineCreateRequest{Image: probeImage, Spec: spec.Spec{Entrypoint: []string{"/none"}}}, errdefs.IsInvalidArgument, "/none"},
		"no bind source": {atom.EngineCreateRequest{Image: probeImage, Spec: spec.Spec{Mounts: []spec.Mount{{Type: spec.MountTypeBind, Source: "/none", Target: "/x"}}}}, errdefs.IsInvalidArgument, "/none"},
		"little memory":  {atom.EngineCreateRequest{Image: probeImage, Spec: spec.Spec{Resources: spec.Resources{Memory: 4096}}}, errdefs.IsInvalidArgument, "spec.resources.memory"},
		"no GPU":         {atom.EngineCreateRequest{Image: probeImage, Spec: spec.Spec{Resources: spec.Resources{GPUs: 1}}}, errdefs.IsFailedPrecondition, "gpu"},
		"no image":       {atom.EngineCreateRequest{Image: "none:1", Spec: spec.Spec{PullPolicy: spec.PullNever}}, errdefs.IsNotFound, "none:1"},
		"no reference":   {atom.EngineCreateRequest{Image: "../containers/x"}, errdefs.IsInvalidArgument, "image"},
	} {
		test.r.Key = name
		if _, err := e.Create(&test.r); !test.class(err) || !strings.Contains(fmt.Sprint(err), test.says) {
			t.Errorf("%s: got %v", name, err)
		}
		if _, err := d.client(t).ContainerInspect(t.Context(), atom.NativeName("", name)); !errdefs.IsNotFound(err) {
			t.Errorf("%s: the name is taken: %v", name, err)
		}
	}
	if after := count(t, e); after != before {
		t.Errorf("%d atoms are left behind", after-before)
	}
}

func testCancelledCreate(t *testing.T, d *dockerd) {
	e := d.engine(t, Config{})
	before := count(t, e)
	for _, after := range []time.Duration{0, 5 * time.Millisecond, 50 * time.Millisecond, 150 * time.Millisecond} {
		ctx, cancel := context.WithTimeout(t.Context(), after)
		a, err := e.Create(&atom.EngineCreateRequest{Image: probeImage, Command: []string{"sleep", "1h"}, Context: ctx})
		cancel()
		switch {
		case err == nil:
			before++
			t.Logf("%v was time enough for %s", after, a.ID())
		case !errors.Is(err, context.DeadlineExceeded):
			t.Errorf("cancelled after %v: %v", after, err)
		}
	}
	eventually(t, "nothing is left", func() bool { return count(t, e) == before })
}

func testForeignContainers(t *testing.T, d *dockerd) {
	e := d.engine(t, Config{})
	c := d.client(t)
	made, err := c.ContainerCreate(t.Context(), &container.Config{Image: probeImage}, nil, nil, nil, "bystander")
	if err != nil {
		t.Fatal(err)
	}
	other, err := e.Create(&atom.EngineCreateRequest{Image: probeImage, Owner: "someone-else"})
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"bystander", made.ID, made.ID[:12], other.ID(), strings.Repeat("0", 64)} {
		_, get := e.Get(&atom.EngineGetRequest{ID: id})
		_, wait := e.Wait(&atom.EngineWaitRequest{ID: id})
		_, logs := e.Logs(&atom.EngineLogsRequest{ID: id})
		stop := e.Stop(&atom.EngineStopRequest{ID: id, Force: true})
		remove := e.Delete(&atom.EngineDeleteRequest{ID: id, Force: true})
		for name, err := range map[string]error{"get": get, "wait": wait, "logs": logs, "stop": stop, "delete": remove} {
			if !errdefs.IsNotFound(err) {
				t.Errorf("%s of %.12s: %v", name, id, err)
			}
		}
	}
}

func testRemovedUnder(t *testing.T, d *dockerd) {
	e := d.engine(t, Config{})
	a := create(t, e, "", "print", "first", ";", "sleep", "1h")
	rd, err := e.Logs(&atom.EngineLogsRequest{ID: a.ID()})
	if err != nil {
		t.Fatal(err)
	}
	defer rd.Close()
	if _, err := io.ReadFull(rd, make([]byte, len("first\n"))); err != nil {
		t.Fatal(err)
	}
	ended := make(chan atom.Atom)
	go func() {
		w, err := e.Wait(&atom.EngineWaitRequest{ID: a.ID()})
		if err != nil {
			t.Error(err)
		}
		ended <- w
	}()
	awaitTickets(t, e, a.ID())
	if err := d.client(t).ContainerRemove(t.Context(), a.ID(), container.RemoveOptions{Force: true}); err != nil {
		t.Fatal(err)
	}
	if w := <-ended; w != nil && (!w.State().Done() || w.Result() == atom.Success) {
		t.Errorf("wait: %+v", atom.InfoOf(w))
	}
	if _, err := io.ReadAll(rd); err != nil && !errdefs.IsNotFound(err) {
		t.Errorf("logs: %v", err)
	}
}

// awaitTickets returns when a Wait and a follow watch the container, and the
// Wait has had its first look at it.
func awaitTickets(t *testing.T, e *Engine, id string) {
	t.Helper()
	eventually(t, "wait and logs watch", func() bool {
		e.watch.mu.Lock()
		defer e.watch.mu.Unlock()
		return len(e.watch.tickets[id]) == 2 && len(e.looking) == 0
	})
}

func testRestart(t *testing.T, d *dockerd) {
	e := d.engine(t, Config{})
	a := create(t, e, "", "both", "400", "20ms", ";", "exit", "3")
	rd, err := e.Logs(&atom.EngineLogsRequest{ID: a.ID(), Timestamps: true})
	if err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	if _, err := io.CopyN(&got, rd, 500); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		w, err := e.Wait(&atom.EngineWaitRequest{ID: a.ID()})
		if err == nil && (w.State() != atom.Stopped || w.Result() != atom.Failure) {
			err = fmt.Errorf("%+v", atom.InfoOf(w))
		}
		ended <- err
	}()
	awaitTickets(t, e, a.ID())
	d.kill(t)
	if _, err := e.Get(&atom.EngineGetRequest{ID: a.ID()}); !errdefs.IsUnavailable(err) {
		t.Errorf("get without a daemon: %v", err)
	}
	d.start(t)
	if _, err := io.Copy(&got, rd); err != nil {
		t.Errorf("logs: %v", err)
	}
	rd.Close()
	if err := <-ended; err != nil {
		t.Errorf("wait: %v", err)
	}
	want, err := readAll(e, atom.EngineLogsRequest{ID: a.ID(), Timestamps: true})
	if err != nil || got.String() != want {
		t.Errorf("followed %d bytes, the log has %d, %v", got.Len(), len(want), err)
	}
	t.Logf("%d bytes of output, %d lines of 800", len(want), strings.Count(want, "\n"))
}

func testComesBack(t *testing.T, d *dockerd) {
	d.kill(t)
	e := d.engine(t, Config{})
	_, probe := e.Probe(t.Context())
	_, list := e.List(&atom.EngineListRequest{})
	_, make := e.Create(&atom.EngineCreateRequest{Image: probeImage})
	for name, err := range map[string]error{"probe": probe, "list": list, "create": make} {
		if !errdefs.IsUnavailable(err) || !strings.Contains(fmt.Sprint(err), d.host) {
			t.Errorf("%s: %v", name, err)
		}
		if unknown := (*atom.OutcomeUnknown)(nil); errors.As(err, &unknown) {
			t.Errorf("%s: the outcome is known: %v", name, err)
		}
	}
	d.start(t)
	if _, err := e.Probe(t.Context()); err != nil {
		t.Errorf("probe of a daemon that is back: %v", err)
	}
}

func testExactBytes(t *testing.T, d *dockerd) {
	for _, driver := range []string{"local", "json-file"} {
		e := d.engine(t, Config{LogDriver: driver})
		caps, err := e.Probe(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		a := create(t, e, "", "pour", "300000", "binary", "7", "out")
		got, err := readAll(e, atom.EngineLogsRequest{ID: a.ID()})
		if err != nil {
			t.Fatal(err)
		}
		b := create(t, e, "", "pour", "300000", "binary", "7", "out")
		again, err := readAll(e, atom.EngineLogsRequest{ID: b.ID(), Timestamps: false})
		if err != nil {
			t.Fatal(err)
		}
		if got != again {
			t.Errorf("%s: the same output reads differently", driver)
		}
		if exact := len(got) == 300000; exact != caps.Has(atom.CapExactBytes) {
			t.Errorf("%s: %d bytes of 300000 with capabilities %v", driver, len(got), caps)
		}
	}
}
