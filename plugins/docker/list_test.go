package docker

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/containerd/errdefs"

	"github.com/atom-router/atom-router/atom"
)

// listed adds so many containers to a fake daemon. Of a list of all of them the
// second half comes when one of the first, which the short list has not, was
// inspected; every tenth is gone by then.
func (d *fakeDaemon) listed(t *testing.T, containers int) (lists func() []string) {
	var mu sync.Mutex
	var asked []string
	looked, once := make(chan struct{}), sync.Once{}
	labels := func(n int) map[string]string {
		return map[string]string{atom.LabelOwner: atom.DefaultOwner, atom.LabelCreated: strconv.Itoa(n)}
	}
	mux := d.Config.Handler.(*http.ServeMux)
	mux.HandleFunc("/v1.41/containers/json", func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		asked = append(asked, r.URL.Query().Get("limit"))
		mu.Unlock()
		last := 0
		if limit, err := strconv.Atoi(r.URL.Query().Get("limit")); err == nil {
			last = containers - limit
		}
		fmt.Fprint(w, "[")
		for n := containers - 1; n >= last; n-- { // the youngest first
			text, _ := json.Marshal(map[string]any{"Id": fmt.Sprintf("%064d", n), "Labels": labels(n)})
			_, _ = w.Write(append(text, ",]"[min(1, max(0, 1-(n-last)))]))
			if last == 0 && n == containers/2 {
				w.(http.Flusher).Flush()
				select {
				case <-looked:
				case <-r.Context().Done():
				}
			}
		}
	})
	mux.HandleFunc("/v1.41/containers/{id}/json", func(w http.ResponseWriter, r *http.Request) {
		n, _ := strconv.Atoi(strings.TrimLeft(r.PathValue("id"), "0"))
		if n < containers-firstListed {
			once.Do(func() { close(looked) })
		}
		if n%10 == 0 {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprint(w, `{"message": "No such container"}`)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"Id": r.PathValue("id"), "State": map[string]any{"Status": "running", "Running": true}, "Config": map[string]any{"Labels": labels(n)}})
	})
	return func() []string {
		mu.Lock()
		defer mu.Unlock()
		return asked
	}
}

// A list is inspected while it comes, after a short one; each container once.
func TestListWhileItComes(t *testing.T) {
	const containers = 4 * firstListed
	d := newFakeDaemon(t)
	lists := d.listed(t, containers)
	e := d.engine(t)
	list, err := e.List(&atom.EngineListRequest{Context: t.Context()})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, a := range list {
		if n%10 == 0 {
			n++
		}
		if a.CreatedAt().UnixNano() != int64(n) {
			t.Fatalf("an atom of %d stands where that of %d should", a.CreatedAt().UnixNano(), n)
		}
		n++
	}
	if n != containers {
		t.Errorf("%d of %d", n, containers)
	}
	if got := lists(); len(got) != 2 || got[0] != strconv.Itoa(firstListed) || got[1] != "" {
		t.Errorf("lists with limits %q", got)
	}
	some, err := e.List(&atom.EngineListRequest{Context: t.Context(), Since: time.Unix(0, 11), Before: time.Unix(0, 13)})
	if err != nil || len(some) != 2 {
		t.Errorf("a range of two gives %d, %v", len(some), err)
	}
	enough, calls := errors.New("enough"), 0
	err = e.StreamList(&atom.EngineListRequest{Context: t.Context()}, func(atom.Atom) error { calls++; return enough })
	if err != enough || calls != 1 {
		t.Errorf("%v after %d", err, calls)
	}
}

// What the daemon says instead of a list has its class, and one that breaks off
// is Unavailable.
func TestListThatIsNone(t *testing.T) {
	for _, c := range []struct {
		name   string
		answer func(http.ResponseWriter)
		class  func(error) bool
		text   string
	}{
		{"refused", func(w http.ResponseWriter) {
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprint(w, `{"message": "not you"}`)
		}, errdefs.IsPermissionDenied, "not you"},
		{"no JSON", func(w http.ResponseWriter) {
			w.WriteHeader(http.StatusInternalServerError)
			fmt.Fprint(w, "<html>")
		}, errdefs.IsInternal, "500 Internal Server Error"},
		{"cut between two", func(w http.ResponseWriter) { fmt.Fprint(w, `[{"Id": "a", "Labels": {"`+atom.LabelCreated+`": "1"}}`) }, errdefs.IsUnavailable, "no Docker daemon answers at "},
		{"null", func(w http.ResponseWriter) { fmt.Fprint(w, "null") }, func(err error) bool { return err == nil }, ""},
		{"cut", func(w http.ResponseWriter) {
			fmt.Fprint(w, `[{"Id": "`)
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}, errdefs.IsUnavailable, "no Docker daemon answers at "},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newFakeDaemon(t)
			d.Config.Handler.(*http.ServeMux).HandleFunc("/v1.41/containers/json", func(w http.ResponseWriter, _ *http.Request) { c.answer(w) })
			list, err := d.engine(t).List(&atom.EngineListRequest{Context: t.Context()})
			if len(list) != 0 || !c.class(err) || err != nil && !strings.HasPrefix(err.Error(), c.text) {
				t.Errorf("%d atoms, %v", len(list), err)
			}
		})
	}
}
