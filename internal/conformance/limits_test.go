//go:build linux

package conformance

import (
	"context"
	"testing"
	"time"

	"github.com/containerd/errdefs"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/atom/atomtest"
	"github.com/atom-router/atom-router/internal/testenv"
	"github.com/atom-router/atom-router/internal/testenv/kubespace"
	"github.com/atom-router/atom-router/router"
)

// What the router keeps of a backend beside its plugin, on each engine: how
// many atoms run there, after a restart too, and for how long they are kept.
func TestLimits(t *testing.T) {
	program, err := atomtest.BuildProbe(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Run("process", func(t *testing.T) { limits(t, processBackend(t), "none", program) })
	t.Run("docker", func(t *testing.T) {
		limits(t, router.Backend{Name: "docker", Plugin: "docker", Settings: settings{"host": testenv.Docker(t)}}, testenv.Image(t), "/probe")
	})
	t.Run("kube", func(t *testing.T) {
		s := settings{"kubeconfig": kubespace.New(t, nil).Kubeconfig}
		limits(t, router.Backend{Name: "kube", Plugin: "kube", Settings: s}, testenv.KubeImage(t), "/probe")
	})
}

func limits(t *testing.T, b router.Backend, image, program string) {
	request := func(owner string, steps ...string) *atom.EngineCreateRequest {
		r := &atom.EngineCreateRequest{Owner: owner, Image: image, Command: steps, Context: t.Context()}
		r.Spec.Entrypoint = []string{program}
		r.Spec.Labels = map[string]string{label: b.Name}
		return r
	}
	create := func(e *router.Engine, r *atom.EngineCreateRequest) string {
		t.Helper()
		a, err := e.Create(r)
		if err != nil {
			t.Fatal(err)
		}
		return a.ID()
	}
	const owner, stranger = "limits", "limits-stranger"
	stop := func(e *router.Engine, id, owner string) {
		t.Helper()
		if err := e.Stop(&atom.EngineStopRequest{ID: id, Owner: owner, Context: t.Context()}); err != nil {
			t.Error(err)
		}
	}
	first := newRouter(t, owner, b)
	others := create(first, request(stranger, "exit", "0"))
	running := create(first, request("", "sleep", "10m"))
	first.Close()

	// A router that knows nothing of the one before counts what runs.
	b.MaxAtoms = 1
	second := newRouter(t, owner, b)
	if a, err := second.Create(request("", "exit", "0")); !errdefs.IsResourceExhausted(err) {
		t.Errorf("a second atom of one: %v, %v", a, err)
	}
	stop(second, running, "")
	next := create(second, request("", "exit", "0"))
	if _, err := second.Wait(&atom.EngineWaitRequest{ID: next, Context: t.Context()}); err != nil {
		t.Error(err)
	}
	second.Close()

	// Both have stopped, and go; the stranger's has stopped as well, and stays.
	b.Retention = time.Second
	third, err := routerWith(owner, router.Options{}, b)
	if err != nil {
		t.Fatal(err)
	}
	defer third.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		list, err := third.List(&atom.EngineListRequest{Context: ctx})
		if err != nil {
			t.Fatalf("with %d atoms left: %v", len(list), err)
		}
		if len(list) == 0 {
			break
		}
		time.Sleep(200 * time.Millisecond)
	}
	if _, err := third.Get(&atom.EngineGetRequest{ID: next, Context: t.Context()}); !errdefs.IsNotFound(err) {
		t.Errorf("after its retention: %v", err)
	}
	if err := third.Delete(&atom.EngineDeleteRequest{ID: others, Owner: stranger, Context: t.Context()}); err != nil {
		t.Errorf("the stranger's: %v", err)
	}
}
