//go:build linux || darwin

package process_test

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/atom/container"
	"github.com/atom-router/atom-router/plugin"
	"github.com/atom-router/atom-router/plugins/process"
)

// binary builds the plugin.
func binary(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "atom-plugin-process")
	if out, err := exec.Command("go", "build", "-o", path, "./atom-plugin-process").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return path
}

// launch starts the plugin on that state directory.
func launch(t *testing.T, path, state string) *plugin.Process {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	p, err := plugin.Launch(ctx, plugin.LaunchOptions{Name: "process", Path: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	config, err := json.Marshal(map[string]string{"state_dir": state})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Configure(ctx, config); err != nil {
		t.Fatal(err)
	}
	return p
}

// TestAtomOutlivesPlugin is one atom's life across three plugin processes, of
// which the first is closed and the second killed.
func TestAtomOutlivesPlugin(t *testing.T) {
	path, dir := binary(t), t.TempDir()
	state := filepath.Join(dir, "state")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()

	first := launch(t, path, state)
	a, err := first.Engine().Create(&atom.EngineCreateRequest{
		Image: "none", Key: "key", Context: ctx,
		Spec:    container.Spec{Entrypoint: []string{"/bin/sh", "-c"}},
		Command: []string{"echo one; while [ ! -e " + dir + "/go ]; do sleep 0.01; done; echo two; exit 9"},
	})
	if err != nil {
		t.Fatal(err)
	}
	// Whatever becomes of the test, the job ends.
	t.Cleanup(func() {
		e, err := process.New(context.Background(), process.Config{StateDir: state}, nil)
		if err != nil {
			t.Error(err)
			return
		}
		defer e.Close()
		if err := e.Delete(&atom.EngineDeleteRequest{ID: a.ID(), Force: true}); err != nil {
			t.Error(err)
		}
	})
	if err := first.Close(); err != nil {
		t.Error(err)
	}

	second := launch(t, path, state)
	in, err := second.Engine().Logs(&atom.EngineLogsRequest{ID: a.ID(), Context: ctx})
	if err != nil {
		t.Fatal(err)
	}
	chunk, err := in.(*atom.LogReader).Next()
	if err != nil || string(chunk.Data) != "one\n" {
		t.Fatalf("got %q, %v", chunk.Data, err)
	}
	killPlugin(t, path)
	<-second.Done()
	if _, err := io.ReadAll(in); err == nil {
		t.Error("the stream of a killed plugin ended cleanly")
	}
	in.Close()

	third := launch(t, path, state).Engine()
	if got, err := third.Get(&atom.EngineGetRequest{ID: a.ID(), Context: ctx}); err != nil || got.State() != atom.Running || !got.StartedAt().Equal(a.StartedAt()) {
		t.Fatalf("got %v, %v", got, err)
	}
	if err := os.WriteFile(dir+"/go", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := third.Wait(&atom.EngineWaitRequest{ID: a.ID(), Context: ctx}); err != nil || got.Result() != atom.Failure || *atom.InfoOf(got).ExitCode != 9 {
		t.Errorf("got %v, %v", got, err)
	}
	in, err = third.Logs(&atom.EngineLogsRequest{ID: a.ID(), Cursor: chunk.Cursor, Context: ctx})
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	if text, err := io.ReadAll(in); err != nil || string(text) != "two\n" {
		t.Errorf("after the cursor: %q, %v", text, err)
	}
}

// killPlugin kills every process that runs the binary and is no shim.
func killPlugin(t *testing.T, path string) {
	t.Helper()
	for _, p := range process.Running(path) {
		if err := p.Kill(); err != nil {
			t.Fatal(err)
		}
	}
}
