package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/router"
)

// looked runs a watch over what the looks give, one after another, until they
// are through, and returns what it wrote.
func looked[T any](t *testing.T, output string, looks []func() (T, error), run func(*app, context.Context, func() (T, error)) error) (stdout, stderr string, err error) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var out, errs bytes.Buffer
		a := &app{stdout: &out, stderr: &errs, output: output}
		n := 0
		err = run(a, ctx, func() (T, error) {
			if n == len(looks) {
				cancel()
				var none T
				return none, context.Canceled
			}
			n++
			return looks[n-1]()
		})
		stdout, stderr = out.String(), errs.String()
	})
	return stdout, stderr, err
}

func TestWatchAtoms(t *testing.T) {
	code := 7
	one := atom.Info{ID: "a:1", Name: "nightly", Image: "busybox:1", State: atom.Created, CreatedAt: time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC)}
	two := atom.Info{ID: "b:a-long-one", Image: "x\x1b[31m", State: atom.Running, CreatedAt: time.Date(1999, 1, 2, 0, 0, 0, 0, time.UTC)}
	list := func(err error, infos ...atom.Info) func() ([]atom.Atom, error) {
		return func() ([]atom.Atom, error) {
			var all []atom.Atom
			for _, i := range infos {
				all = append(all, atom.New(i, nil))
			}
			return all, err
		}
	}
	running, stopped := one, one
	running.State = atom.Running
	stopped.State, stopped.Result, stopped.ExitCode = atom.Stopped, atom.Failure, &code
	down := &atom.OpError{Op: "list", Err: &router.PartialError{Failed: []*atom.OpError{{Op: "list", Backend: "b", Err: errors.New("down")}}}}
	looks := []func() ([]atom.Atom, error){
		list(nil, one), list(nil, one, two), list(down, running), list(down, running), list(nil, running, two), list(nil, stopped), list(nil, stopped),
	}
	all := func(atom.Atom) bool { return true }
	watch := func(keep func(atom.Atom) bool) func(*app, context.Context, func() ([]atom.Atom, error)) error {
		return func(a *app, ctx context.Context, list func() ([]atom.Atom, error)) error {
			return a.watchAtoms(ctx, list, keep)
		}
	}
	stdout, stderr, err := looked(t, outputTable, looks, watch(all))
	if code := codeOf(nil, err); code != codeInterrupt {
		t.Errorf("it ended with %v, code %d", err, code)
	}
	want := `ID    NAME      IMAGE       STATE     RESULT   EXIT   CREATED    RULE
a:1   nightly   busybox:1   created   -        -      AGO   -
b:a-long-one   -         x�[31m      running   -        -      AGO   -
a:1            nightly   busybox:1   running   -        -      AGO   -
a:1            nightly   busybox:1   stopped   failure   7      AGO   -
b:a-long-one   -         x�[31m      deleted   unknown   -      AGO   -
`
	for _, scrubbed := range []string{"364d ago", "365d ago", "363d ago"} { // synctest's clock begins with 2000
		stdout = strings.ReplaceAll(stdout, scrubbed, "AGO")
	}
	if diff := cmp.Diff(want, stdout); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if want := "list on b: down; their atoms may have changed\nb answers again\n"; stderr != want {
		t.Errorf("stderr %q", stderr)
	}

	stdout, _, _ = looked(t, outputID, looks, watch(func(a atom.Atom) bool { return a.State() == atom.Running }))
	if want := "b:a-long-one\na:1\na:1\nb:a-long-one\n"; stdout != want {
		t.Errorf("those that run: %q", stdout)
	}

	stdout, _, _ = looked(t, outputJSON, looks, watch(all))
	var states []string
	for line := range strings.Lines(stdout) {
		var a atomJSON
		if err := json.Unmarshal([]byte(line), &a); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		states = append(states, a.ID+" "+a.State)
	}
	if diff := cmp.Diff([]string{"a:1 created", "b:a-long-one running", "a:1 running", "a:1 stopped", "b:a-long-one deleted"}, states); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}

	// What does not get better by waiting ends it.
	bad := atom.Errorf(errdefs.ErrNotFound, "no such backend")
	_, _, err = looked(t, outputTable, []func() ([]atom.Atom, error){list(bad)}, watch(all))
	if !errors.Is(err, bad) {
		t.Errorf("got %v", err)
	}
}

func TestWatchBackends(t *testing.T) {
	ready := router.BackendStatus{Name: "a", Plugin: "docker", Version: "1", State: router.Ready}
	down := ready
	down.State, down.LastError = router.Degraded, errors.New("no\ndaemon")
	all := func(err error, bs ...router.BackendStatus) func() ([]router.BackendStatus, error) {
		return func() ([]router.BackendStatus, error) { return bs, err }
	}
	away := atom.Errorf(errdefs.ErrUnavailable, "no router there")
	looks := []func() ([]router.BackendStatus, error){all(nil, ready), all(nil, down), all(nil, down), all(away), all(away), all(nil, ready), all(nil)}
	watch := func(a *app, ctx context.Context, probe func() ([]router.BackendStatus, error)) error {
		return a.watchBackends(ctx, probe)
	}
	stdout, stderr, err := looked(t, outputTable, looks, watch)
	if code := codeOf(nil, err); code != codeInterrupt {
		t.Errorf("it ended with %v, code %d", err, code)
	}
	want := `NAME   PLUGIN   VERSION   STATE   SINCE   RESTARTS   DRAIN   ERROR
a      docker   1         ready   -       0          -       -
a      docker   1         degraded   -       0          -       no daemon
a      docker   1         ready      -       0          -       -
a      docker   1         removed    -       0          -       -
`
	if diff := cmp.Diff(want, stdout); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if stderr != "no router there\n" {
		t.Errorf("stderr %q", stderr)
	}
	stdout, _, _ = looked(t, outputJSON, looks, watch)
	if lines := strings.Split(stdout, "\n"); len(lines) != 5 || !strings.Contains(lines[1], `"state":"degraded"`) || !strings.Contains(lines[3], `"state":"removed"`) {
		t.Errorf("JSON: %s", stdout)
	}
}

// A job's life as seen by another command.
func TestWatchAJob(t *testing.T) { nearAndFar(t, testWatchAJob) }

func testWatchAJob(t *testing.T, s *scene, flags ...string) {
	with := func(args ...string) []string { return append(slices.Clone(flags), args...) }
	watch := s.start(t, with("list", "--watch", "-o", "json", "-l", "test")...)
	backends := s.start(t, with("backends", "-w")...)
	backends.until(backends.out, `^process +process +\S+ +ready `)
	out, _, code := s.run(t, with("create", "-l", "test=1", "none", "--", "sleep", "1000")...)
	if code != 0 {
		t.Fatal(code)
	}
	id := idIn(t, out)
	line := func(state string) { watch.until(watch.out, fmt.Sprintf(`^\{"id":"%s",.*"state":"%s",`, id, state)) }
	line("running")
	s.run(t, with("stop", "--force", id)...)
	line("stopped")
	s.run(t, with("rm", id)...)
	line("deleted")
	for name, c := range map[string]*child{"list": watch, "backends": backends} {
		c.signal(syscall.SIGINT)
		if code := c.wait(); code != 130 || c.err.all.String() != "" {
			t.Errorf("%s: code %d, stderr %q", name, code, c.err.all.String())
		}
	}
}
