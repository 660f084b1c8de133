package docker

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/atom-router/atom-router/atom/atomtest"
	"github.com/atom-router/atom-router/plugin"
)

func TestConformance(t *testing.T) {
	d := startDockerd(t)
	binary := filepath.Join(t.TempDir(), "atom-plugin-docker")
	if text, err := exec.Command("go", "build", "-o", binary, "./atom-plugin-docker").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	t.Run("called directly", func(t *testing.T) {
		atomtest.Run(t, atomtest.Harness{New: func(t *testing.T) *atomtest.Env {
			e := d.engine(t, Config{})
			caps, err := e.Probe(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return &atomtest.Env{Engine: e, Capabilities: caps, Image: probeImage, Scratch: t.TempDir()}
		}})
	})
	t.Run("across a plugin process", func(t *testing.T) {
		atomtest.Run(t, atomtest.Harness{New: func(t *testing.T) *atomtest.Env {
			p, err := plugin.Launch(t.Context(), plugin.LaunchOptions{Name: "docker", Path: binary})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := p.Close(); err != nil {
					t.Error(err)
				}
			})
			config, err := json.Marshal(map[string]any{"host": d.host, "network": "none"})
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
			return &atomtest.Env{Engine: p.Engine(), Capabilities: caps, Image: probeImage, Scratch: t.TempDir()}
		}})
	})
}
