package config_test

import (
	"testing"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/atom/container"
	"github.com/atom-router/atom-router/router"
	"github.com/atom-router/atom-router/router/config"
)

// TestExampleRoutes asks where jobs go by examples/config.hcl.
func TestExampleRoutes(t *testing.T) {
	c, err := config.Load("../../examples/config.hcl")
	if err != nil {
		t.Fatal(err)
	}
	e, err := router.New(t.Context(), c, router.Options{NoJanitor: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	labels := func(k, v string) container.Spec { return container.Spec{Labels: map[string]string{k: v}} }
	socket := container.Mount{Type: container.MountTypeBind, Source: "/var/run/../run/docker.sock", Target: "/s"}
	for _, c := range []struct {
		name, image   string
		spec          container.Spec
		rule, backend string
	}{
		{"a program", "none", container.Spec{}, "default", "process"},
		{"an image", "alpine", container.Spec{}, "images", "docker"},
		{"another's image", "ghcr.io/x/y:1", container.Spec{}, "images", "docker"},
		{"asked for docker", "none", labels("engine", "docker"), "asked-for-docker", "docker"},
		{"asked for kube", "alpine", labels("engine", "kube"), "asked-for-kube", "kube"},
		{"asked for process", "alpine", labels("engine", "process"), "asked-for-process", "process"},
		{"anywhere", "alpine", labels("anywhere", "yes"), "anywhere", "docker"},
		{"a limit", "none", container.Spec{Resources: container.Resources{Memory: 1 << 30}}, "needs-container", "docker"},
		{"a user", "none", container.Spec{User: "app"}, "needs-container", "docker"},
		{"the socket", "alpine", container.Spec{Mounts: []container.Mount{socket}}, "docker-socket", ""},
	} {
		d, err := e.Explain(t.Context(), &atom.EngineCreateRequest{Image: c.image, Command: []string{"true"}, Spec: c.spec})
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if d.Rule != c.rule || d.Backend() != c.backend {
			t.Errorf("%s: rule %q and backend %q, want %q and %q; %+v", c.name, d.Rule, d.Backend(), c.rule, c.backend, d.Trace)
		}
	}
}
