package docker

import (
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/containerd/errdefs"

	"github.com/atom-router/atom-router/atom"
)

// Where events are listened to already, a Wait looks once when it begins, and
// then when one comes.
func TestWaitLooksOnce(t *testing.T) {
	const containers = 50
	d := newFakeDaemon(t)
	var told atomic.Bool
	var looks [containers + 1]atomic.Int32
	d.Config.Handler.(*http.ServeMux).HandleFunc("/v1.41/containers/{id}/json", func(w http.ResponseWriter, r *http.Request) {
		var n int
		_, _ = fmt.Sscanf(r.PathValue("id"), "%x", &n)
		state := map[string]any{"Status": "running", "Running": true, "StartedAt": "2026-01-01T00:00:00Z", "FinishedAt": "0001-01-01T00:00:00Z"}
		if looks[n].Add(1) > 1 {
			if !told.Load() {
				t.Errorf("container %d is looked at a second time, and nothing happened", n)
			}
			state = map[string]any{"Status": "exited", "StartedAt": "2026-01-01T00:00:00Z", "FinishedAt": "2026-01-01T00:01:00Z"}
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"Id": r.PathValue("id"), "State": state, "Config": map[string]any{"Labels": map[string]string{atom.LabelOwner: atom.DefaultOwner}}})
	})
	e := d.engine(t)
	first := e.watch.join("somebody else's")
	defer first.leave()
	select {
	case <-first.look: // the stream is open
	case <-t.Context().Done():
		return
	}
	var all sync.WaitGroup
	for n := 1; n <= containers; n++ {
		all.Go(func() {
			a, err := e.Wait(&atom.EngineWaitRequest{ID: fmt.Sprintf("%064x", n), Context: t.Context()})
			if err != nil || a.Result() != atom.Success {
				t.Errorf("container %d: %v, %v", n, a, err)
			}
		})
	}
	for n := 1; n <= containers; {
		if looks[n].Load() > 0 {
			n++
		} else {
			time.Sleep(time.Millisecond)
		}
	}
	told.Store(true)
	e.watch.signalAll()
	all.Wait()

	// One that there is no atom for leaves no ticket.
	if _, err := e.Wait(&atom.EngineWaitRequest{ID: fakeID[:12], Context: t.Context()}); !errdefs.IsNotFound(err) {
		t.Errorf("of no atom: %v", err)
	}
	e.watch.mu.Lock()
	defer e.watch.mu.Unlock()
	if len(e.watch.tickets) != 1 {
		t.Errorf("%d tickets are left", len(e.watch.tickets)-1)
	}
}
