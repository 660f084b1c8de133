//go:build linux

package conformance

import (
	"testing"

	"github.com/atom-router/atom-router/atom/atomtest"
	"github.com/atom-router/atom-router/internal/testenv"
	"github.com/atom-router/atom-router/router"
)

// Podman is one more host of the Docker plugin.
func TestRouterOverPodman(t *testing.T) {
	host := testenv.Podman(t)
	atomtest.Run(t, atomtest.Harness{New: func(t *testing.T) *atomtest.Env {
		e := newRouter(t, "router-over-podman", processBackend(t),
			router.Backend{Name: "podman", Plugin: "docker", Settings: settings{"host": host}})
		return &atomtest.Env{
			Engine: e, Capabilities: capabilities(t, e, "podman"),
			Image: testenv.ProbeImage, Labels: map[string]string{label: "podman"}, Scratch: t.TempDir(),
		}
	}})
}
