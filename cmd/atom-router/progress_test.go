package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/atom-router/atom-router/atom"
)

func TestDisplay(t *testing.T) {
	tell := func(terminal bool) string {
		var out bytes.Buffer
		d := &display{w: &out, terminal: terminal}
		d.over() // nothing to clear
		for _, done := range []int64{0, 3e6, 5e6} {
			d.show(atom.Progress{Backend: "docker", Phase: atom.PhasePulling, Text: "pulling x", Done: done, Total: 2 * done})
		}
		d.show(atom.Progress{Backend: "docker", Phase: atom.PhasePulling, Text: "pulling x", Done: 5e6, Total: 1e7}) // nothing new
		fmt.Fprintln(d, "a warning")
		d.show(atom.Progress{Backend: "docker", Phase: atom.PhaseUnpacking})
		d.over()
		d.show(atom.Progress{Backend: "kube", Text: "two\nlines and \x1b[31mcolour"})
		stdout := d.before(&out)
		fmt.Fprintln(stdout, "output")
		fmt.Fprintln(stdout, "more")
		return out.String()
	}
	plain := `docker: pulling x
a warning
docker: unpacking
kube: two�lines and �[31mcolour
output
more
`
	if diff := cmp.Diff(plain, tell(false)); diff != "" {
		t.Errorf("without a terminal, -want +got:\n%s", diff)
	}
	const clear, from, to = "\r\x1b[K", "\r\x1b[K\x1b[?7l", "\x1b[?7h"
	terminal := from + "docker: pulling x" + to +
		from + "docker: pulling x, 3 of 6 MB" + to +
		from + "docker: pulling x, 5 of 10 MB" + to +
		clear + "a warning\n" +
		from + "docker: unpacking" + to + clear +
		from + "kube: two�lines and �[31mcolour" + to +
		clear + "output\nmore\n"
	if diff := cmp.Diff(terminal, tell(true)); diff != "" {
		t.Errorf("on a terminal, -want +got:\n%s", diff)
	}
}

func TestBytesText(t *testing.T) {
	for want, of := range map[string][2]int64{"0 of 999 kB": {999, 999_999}, "1 of 1 MB": {1e6, 1e6}, "1 of 4096 MB": {1_999_999, 4_096_000_000}} {
		if got := bytesText(of[0], of[1]); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestStarting(t *testing.T) {
	created := func(message string) atom.Info {
		return atom.Info{ID: "kube:x", State: atom.Created, Message: message}
	}
	for _, test := range []struct {
		name string
		seen []any // in each second, an atom.Info or an error
		want string
	}{
		{"waits for a node, then for the image", []any{
			created(""), created("Unschedulable: no node"), errors.New("away"), created("Unschedulable: no node"),
			created("ContainerCreating"), atom.Info{ID: "kube:x", State: atom.Running, Message: "runs"},
		}, "kube: Unschedulable: no node\nkube: ContainerCreating\n"},
		{"stopped before it started", []any{atom.Info{ID: "kube:x", State: atom.Stopped, Message: "why"}}, ""},
		{"the command ends first", []any{created("one"), created("two"), context.Canceled}, "kube: one\nkube: two\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				var out bytes.Buffer
				d := &display{w: &out}
				began, asked := time.Now(), 0
				d.starting(ctx, func(context.Context) (atom.Atom, error) {
					seen := test.seen[asked]
					asked++
					switch seen := seen.(type) {
					case atom.Info:
						return atom.New(seen, nil), nil
					case error:
						if seen == context.Canceled {
							cancel()
						}
						return nil, seen
					}
					panic("no such answer")
				})
				if diff := cmp.Diff(test.want, out.String()); diff != "" || asked != len(test.seen) {
					t.Errorf("asked %d times, -want +got:\n%s", asked, diff)
				}
				if took := time.Since(began); took != time.Duration(asked)*startEvery {
					t.Errorf("it took %v", took)
				}
			})
		})
	}
}
