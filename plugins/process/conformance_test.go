//go:build linux || darwin

package process_test

import (
	"path/filepath"
	"testing"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/atom/atomtest"
	"github.com/atom-router/atom-router/plugins/process"
)

func env(t *testing.T, e atom.Engine, c atom.Capabilities) *atomtest.Env {
	t.Helper()
	program, err := atomtest.BuildProbe(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return &atomtest.Env{Engine: e, Capabilities: c, Program: program}
}

func TestConformance(t *testing.T) {
	atomtest.Run(t, atomtest.Harness{New: func(t *testing.T) *atomtest.Env {
		e, err := process.New(t.Context(), process.Config{StateDir: filepath.Join(t.TempDir(), "state")}, nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { e.Close() })
		return env(t, e, process.Plugin().Capabilities)
	}})
}

func TestConformanceOfPlugin(t *testing.T) {
	atomtest.Run(t, atomtest.Harness{New: func(t *testing.T) *atomtest.Env {
		p := launch(t, binary(t), filepath.Join(t.TempDir(), "state"))
		return env(t, p.Engine(), p.Description().Capabilities)
	}})
}
