package kube

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/atom-router/atom-router/atom/atomtest"
	"github.com/atom-router/atom-router/internal/testenv"
	"github.com/atom-router/atom-router/internal/testenv/kubespace"
	"github.com/atom-router/atom-router/plugin"
)

// examConfig gives up soon what never starts.
func examConfig() Config {
	return Config{AllowHostPath: true, PullTimeout: "2s", StartupTimeout: "1m"}
}

func TestConformance(t *testing.T) {
	s := kubespace.New(t, nil)
	s.Claim(t, "atomtest")
	image := testenv.KubeImage(t)
	t.Run("called directly", func(t *testing.T) {
		atomtest.Run(t, atomtest.Harness{New: func(t *testing.T) *atomtest.Env {
			c := examConfig()
			c.Kubeconfig = s.Kubeconfig
			e, err := New(t.Context(), c, nil)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { e.Close() })
			caps, err := e.Probe(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return &atomtest.Env{Engine: e, Capabilities: caps, Image: image, Scratch: t.TempDir()}
		}})
	})
	t.Run("across a plugin process", func(t *testing.T) {
		binary := filepath.Join(t.TempDir(), "atom-plugin-kube")
		if text, err := exec.Command("go", "build", "-o", binary, "./atom-plugin-kube").CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		atomtest.Run(t, atomtest.Harness{New: func(t *testing.T) *atomtest.Env {
			p, err := plugin.Launch(t.Context(), plugin.LaunchOptions{Name: "kube", Path: binary})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := p.Close(); err != nil {
					t.Error(err)
				}
			})
			c := examConfig()
			config, err := json.Marshal(map[string]any{
				"kubeconfig": s.Kubeconfig, "allow_host_path": c.AllowHostPath,
				"pull_timeout": c.PullTimeout, "startup_timeout": c.StartupTimeout,
			})
			if err != nil {
				t.Fatal(err)
			}
			if err := p.Configure(t.Context(), config); err != nil {
				t.Fatal(err)
			}
			caps, err := p.Engine().Probe(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return &atomtest.Env{Engine: p.Engine(), Capabilities: caps, Image: image, Scratch: t.TempDir()}
		}})
	})
}
