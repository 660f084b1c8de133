package kube

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/atom-router/atom-router/atom"
)

// A client of several routers may see an atom's end at one and delete it at
// another, whose watch has not brought the end yet: that is no reason to refuse.
func TestDeleteAheadOfTheWatch(t *testing.T) {
	ended := servedPod()
	runs := ended.DeepCopy()
	runs.ResourceVersion = "4"
	runs.Status.Phase = "Running"
	status := &runs.Status.ContainerStatuses[0].State
	status.Running, status.Terminated = &corev1.ContainerStateRunning{StartedAt: status.Terminated.StartedAt}, nil

	var e *Engine
	var deleted atomic.Bool
	e = engineAt(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, "/"+ended.Name) { // the list and the watch, which lag
			<-r.Context().Done()
			return
		}
		if r.Method == http.MethodDelete {
			deleted.Store(true)
			defer e.watch.pods.remove(e.settings.recordOf(ended))
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(ended)
	}))
	e.watch.pods.replace([]*record{e.settings.recordOf(runs)}, "4")
	e.watch.pods.setWell(true)
	id := identity{"ns", ended.Name, "uid"}.String()
	if a, err := e.Get(&atom.EngineGetRequest{ID: id}); err != nil || a.State() != atom.Running {
		t.Fatalf("the watch has %+v, %v; want it running", a, err)
	}
	if err := e.Delete(&atom.EngineDeleteRequest{ID: id, Context: t.Context()}); err != nil || !deleted.Load() {
		t.Errorf("delete: %v, asked for: %t", err, deleted.Load())
	}
}
