//go:build linux

package conformance

import (
	"testing"

	"github.com/atom-router/atom-router/atom/atomtest"
	"github.com/atom-router/atom-router/internal/testenv"
	"github.com/atom-router/atom-router/internal/testenv/kubespace"
	"github.com/atom-router/atom-router/router"
)

// The backends of the other engines stand beside it, so that List and Lookup
// ask all of them.
func TestRouterOverAll(t *testing.T) {
	host, space := testenv.Docker(t), kubespace.New(t, nil)
	space.Claim(t, "atomtest")
	atomtest.Run(t, atomtest.Harness{New: func(t *testing.T) *atomtest.Env {
		e := newRouter(t, "router-over-all", processBackend(t),
			router.Backend{Name: "docker", Plugin: "docker", Settings: settings{"host": host}},
			router.Backend{Name: "kube", Plugin: "kube", Settings: settings{
				"kubeconfig": space.Kubeconfig, "allow_host_path": true, "pull_timeout": "2s", "startup_timeout": "1m",
			}})
		return &atomtest.Env{
			Engine: e, Capabilities: capabilities(t, e, "kube"),
			Image: testenv.KubeImage(t), Labels: map[string]string{label: "kube"}, Scratch: t.TempDir(),
		}
	}})
}
