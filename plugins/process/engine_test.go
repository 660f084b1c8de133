//go:build linux || darwin

package process

import (
	"context"
	"io"
	"testing"
	"time"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/atom/container"
)

// newEngine returns an engine on that state directory. The shim runs this
// test binary, whose TestMain calls RunShim.
func newEngine(t *testing.T, dir string) *Engine {
	t.Helper()
	e, err := New(t.Context(), Config{StateDir: dir}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}

func sh(script string) *atom.EngineCreateRequest {
	return &atom.EngineCreateRequest{Image: "none", Spec: container.Spec{Entrypoint: []string{"/bin/sh", "-c"}}, Command: []string{script}}
}

func create(t *testing.T, e *Engine, r *atom.EngineCreateRequest) atom.Atom {
	t.Helper()
	a, err := e.Create(r)
	if err != nil {
		t.Fatalf("create: %v", err)
	}
	t.Cleanup(func() {
		// Another engine, since the test may have closed its own.
		_ = e.Delete(&atom.EngineDeleteRequest{ID: a.ID(), Owner: r.Owner, Force: true})
	})
	return a
}

func wait(t *testing.T, e *Engine, a atom.Atom) atom.Info {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	got, err := e.Wait(&atom.EngineWaitRequest{ID: a.ID(), Context: ctx})
	if err != nil {
		t.Fatalf("wait: %v", err)
	}
	return atom.InfoOf(got)
}

func logs(t *testing.T, e *Engine, r *atom.EngineLogsRequest) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	r.Context = ctx
	in, err := e.Logs(r)
	if err != nil {
		t.Fatalf("logs: %v", err)
	}
	defer in.Close()
	text, err := io.ReadAll(in)
	if err != nil {
		t.Fatalf("logs: %v after %q", err, text)
	}
	return string(text)
}

func TestRun(t *testing.T) {
	e := newEngine(t, t.TempDir())
	for _, tt := range []struct {
		name, script string
		result       atom.Result
		code         int
		out          string
	}{
		{"success", "echo out; sleep 0.05; echo err >&2", atom.Success, 0, "out\nerr\n"},
		{"failure", "printf unfinished; exit 3", atom.Failure, 3, "unfinished"},
		{"killed", "kill -KILL $$", atom.Killed, 137, ""},
		{"terminated", "kill -TERM $$", atom.Terminated, 143, ""},
		{"other signal", "kill -USR1 $$", atom.Failure, 138, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := create(t, e, sh(tt.script))
			out := logs(t, e, &atom.EngineLogsRequest{ID: a.ID()})
			info := wait(t, e, a)
			if info.State != atom.Stopped || info.Result != tt.result || info.ExitCode == nil || *info.ExitCode != tt.code || out != tt.out {
				t.Errorf("got %+v and %q", info, out)
			}
			if info.StartedAt.Before(info.CreatedAt) || info.StoppedAt.Before(info.StartedAt) {
				t.Errorf("times out of order: %+v", info)
			}
		})
	}
}

func TestStop(t *testing.T) {
	e := newEngine(t, t.TempDir())
	for _, tt := range []struct {
		name, script string
		request      atom.EngineStopRequest
		result       atom.Result
	}{
		{"obeys", "echo up; sleep 100", atom.EngineStopRequest{}, atom.Terminated},
		{"ignores", "trap '' TERM; echo up; sleep 100", atom.EngineStopRequest{Timeout: time.Millisecond}, atom.Killed},
		{"handles", "trap 'exit 0' TERM; echo up; while :; do sleep 0.01; done", atom.EngineStopRequest{}, atom.Success},
		{"force", "trap '' TERM; echo up; sleep 100", atom.EngineStopRequest{Force: true}, atom.Killed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := create(t, e, sh(tt.script))
			in, err := e.Logs(&atom.EngineLogsRequest{ID: a.ID()})
			if err != nil {
				t.Fatal(err)
			}
			defer in.Close()
			if _, err := io.ReadFull(in, make([]byte, 3)); err != nil {
				t.Fatal(err)
			}
			r := tt.request
			r.ID = a.ID()
			if err := e.Stop(&r); err != nil {
				t.Fatal(err)
			}
			got, err := e.Get(&atom.EngineGetRequest{ID: a.ID()})
			if err != nil || got.State() != atom.Stopped || got.Result() != tt.result {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
}
