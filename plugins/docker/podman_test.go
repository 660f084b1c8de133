package docker

import (
	"slices"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/container"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/internal/testenv"
)

func podmanEngineOf(t *testing.T, c Config) *Engine {
	t.Helper()
	c.Host = testenv.Podman(t)
	e, err := New(t.Context(), c, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}

// What Podman cannot do is not declared, and what is not declared is not done.
// That all else holds the conformance run shows (internal/conformance).
func TestPodmanDeclares(t *testing.T) {
	e := podmanEngineOf(t, Config{})
	caps, err := e.Probe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := atom.Capabilities{
		atom.CapImages, atom.CapMountBind, atom.CapMountVolume, atom.CapMountTmpfs, atom.CapUser, atom.CapUserNames, atom.CapCPU, atom.CapMemory,
		atom.CapExactBytes, atom.CapLogStreams, atom.CapLogsAfterKill, atom.CapDelete, atom.CapLookup, atom.CapDurable,
	}
	if missing, more := want.Missing(caps), caps.Missing(want); len(missing)+len(more) > 0 {
		t.Errorf("it declares %v: %v too few, %v too many", caps, missing, more)
	}

	r := &atom.EngineCreateRequest{Image: probeImage, Command: []string{"exit", "0"}, Context: t.Context()}
	r.Spec.Resources.GPUs = 1
	if _, err := e.Create(r); !errdefs.IsNotImplemented(err) {
		t.Errorf("with a GPU create says %v", err)
	}
}

// Podman tells no more of an out-of-memory kill than of any other.
func TestPodmanOutOfMemory(t *testing.T) {
	e := podmanEngineOf(t, Config{})
	r := &atom.EngineCreateRequest{Image: probeImage, Command: []string{"allocate", "512"}, Context: t.Context()}
	r.Spec.Resources.Memory = 64 << 20
	a, err := e.Create(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := e.Delete(&atom.EngineDeleteRequest{ID: a.ID(), Force: true}); err != nil {
			t.Error(err)
		}
	}()
	if a, err = e.Wait(&atom.EngineWaitRequest{ID: a.ID(), Context: t.Context()}); err != nil {
		t.Fatal(err)
	}
	if info := atom.InfoOf(a); info.Result != atom.Killed || info.ExitCode == nil || *info.ExitCode != 137 {
		t.Errorf("it is %s, code %v; if Podman tells of it by now, let the engine declare %q", info.Result, info.ExitCode, atom.CapOOM)
	}
}

// A log driver that the daemon has not is found out before a Create fails.
func TestPodmanLogDriver(t *testing.T) {
	e := podmanEngineOf(t, Config{LogDriver: "local"})
	if _, err := e.Probe(t.Context()); !errdefs.IsFailedPrecondition(err) {
		t.Errorf("probe says %v", err)
	}
}

func TestPodmanStates(t *testing.T) {
	at := "2026-01-02T03:04:05Z"
	for _, c := range []struct {
		state container.State
		want  atom.State
	}{
		{container.State{Status: "configured"}, atom.Created},
		{container.State{Status: "initialized"}, atom.Created},
		{container.State{Status: "stopping", StartedAt: at}, atom.Running},
		{container.State{Status: "stopped", StartedAt: at}, atom.Running},
		{container.State{Status: "stopped", StartedAt: at, FinishedAt: at}, atom.Stopped},
		{container.State{Status: "exited", StartedAt: at, FinishedAt: at}, atom.Stopped},
	} {
		was := c.state.Status
		asDocker(&c.state)
		if got := stateOf(&c.state); got != c.want {
			t.Errorf("%s, finished at %q, is %s, not %s", was, c.state.FinishedAt, got, c.want)
		}
	}
	made := func(names ...string) (v types.Version) {
		for _, n := range names {
			v.Components = append(v.Components, types.ComponentVersion{Name: n})
		}
		return v
	}
	if isPodman(made("Engine", "containerd", "runc")) || isPodman(made()) || !isPodman(made("Podman Engine", "Conmon")) {
		t.Error("Podman is told from Docker by something else")
	}
}

// Podman has one file where Docker has several; it is as large as all of them.
func TestPodmanLogOptions(t *testing.T) {
	s, err := settle(Config{LogMaxSize: "1m", LogMaxFiles: 3})
	if err != nil {
		t.Fatal(err)
	}
	if o := s.logOptions(podmanLogDriver); len(o) != 1 || o["max-size"] != "3145728" {
		t.Errorf("the options are %v", o)
	}
	if o := s.logOptions("local"); !slices.Equal([]string{o["max-size"], o["max-file"], o["compress"]}, []string{"1048576", "3", "false"}) {
		t.Errorf("those of Docker's driver are %v", o)
	}
}
