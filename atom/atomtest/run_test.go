package atomtest

import (
	"testing"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/atom/atomtest/memengine"
)

func TestMemengine(t *testing.T) {
	Run(t, Harness{New: func(t *testing.T) *Env {
		e := memengine.New()
		t.Cleanup(func() { e.Close() })
		return &Env{Engine: e, Capabilities: memengine.AllCapabilities(), Image: memengine.Image}
	}})
}

// TestMemengineThatCanDoLittle has every promise about what an engine lacks
// checked, and others skipped.
func TestMemengineThatCanDoLittle(t *testing.T) {
	Run(t, Harness{New: func(t *testing.T) *Env {
		caps := atom.Capabilities{atom.CapDelete}
		e := memengine.New(caps...)
		t.Cleanup(func() { e.Close() })
		return &Env{Engine: e, Capabilities: caps, Program: memengine.Program}
	}})
}
