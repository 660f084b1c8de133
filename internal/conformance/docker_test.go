//go:build linux

package conformance

import (
	"testing"

	"github.com/atom-router/atom-router/atom/atomtest"
	"github.com/atom-router/atom-router/internal/testenv"
	"github.com/atom-router/atom-router/router"
)

// The process backend stands beside it, so that List and Lookup ask both.
func TestRouterOverProcessAndDocker(t *testing.T) {
	host, image := testenv.Docker(t), testenv.Image(t)
	atomtest.Run(t, atomtest.Harness{New: func(t *testing.T) *atomtest.Env {
		e := newRouter(t, "router-over-both", processBackend(t),
			router.Backend{Name: "docker", Plugin: "docker", Settings: settings{"host": host}})
		return &atomtest.Env{
			Engine: e, Capabilities: capabilities(t, e, "docker"),
			Image: image, Labels: map[string]string{label: "docker"}, Scratch: t.TempDir(),
		}
	}})
}
