package kube

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/atom-router/atom-router/atom"
)

// counting stands for an API server that has pods, and counts what it is
// asked. It answers lists once listed is closed, and gets once got is.
type counting struct {
	pods        []corev1.Pod
	listed, got chan struct{}
	gets, lists atomic.Int32
}

func (c *counting) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	name := strings.TrimPrefix(r.URL.Path, "/api/v1/namespaces/ns/pods")
	switch {
	case r.URL.Query().Get("watch") != "":
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	case name == "":
		c.lists.Add(1)
		<-c.listed
		_ = json.NewEncoder(w).Encode(corev1.PodList{
			TypeMeta: metav1.TypeMeta{Kind: "PodList", APIVersion: "v1"}, ListMeta: metav1.ListMeta{ResourceVersion: "10"}, Items: c.pods,
		})
	default:
		c.gets.Add(1)
		for _, p := range c.pods {
			if "/"+p.Name == name {
				<-c.got
				_ = json.NewEncoder(w).Encode(p)
				return
			}
		}
		w.WriteHeader(http.StatusNotFound)
		_ = json.NewEncoder(w).Encode(metav1.Status{
			TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: "Failure", Reason: metav1.StatusReasonNotFound, Code: 404,
		})
	}
}

// engineAt returns an engine of namespace ns at the server.
func engineAt(t *testing.T, h http.Handler) *Engine {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	file := filepath.Join(t.TempDir(), "kubeconfig")
	text := fmt.Sprintf(`{"apiVersion": "v1", "kind": "Config", "current-context": "c",
		"clusters": [{"name": "c", "cluster": {"server": %q}}], "contexts": [{"name": "c", "context": {"cluster": "c", "namespace": "ns"}}]}`, server.URL)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	e, err := New(t.Context(), Config{Kubeconfig: file}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}

// A new plugin gets all Waits of the one before at once. They find their pods
// in its first list, and do not ask for each; and what the watch saw go is not
// asked for either.
func TestWaitsShareTheFirstList(t *testing.T) {
	const waits = 500
	c := &counting{listed: make(chan struct{}), got: make(chan struct{})}
	for i := range waits {
		p := finishedPod(i, "image")
		p.TypeMeta = metav1.TypeMeta{Kind: "Pod", APIVersion: "v1"}
		p.Namespace, p.ResourceVersion, p.UID = "ns", "5", types.UID(fmt.Sprintf("uid-%d", i))
		c.pods = append(c.pods, *p)
	}
	e := engineAt(t, c)
	ids := make([]string, waits)
	var began atomic.Int32
	var wg sync.WaitGroup
	for i, p := range c.pods {
		ids[i] = identity{"ns", p.Name, string(p.UID)}.String()
		wg.Go(func() {
			began.Add(1)
			if a, err := e.Wait(&atom.EngineWaitRequest{ID: ids[i], Context: t.Context()}); err != nil || a.Result() != atom.Success {
				t.Errorf("%v, %v", a, err)
			}
		})
	}
	eventually(t, func() bool { return began.Load() == waits && c.gets.Load() >= looksAtOnce })
	close(c.listed)
	eventually(t, func() bool { _, current := e.watch.pods.get(""); return current })
	close(c.got)
	wg.Wait()
	if gets, lists := c.gets.Load(), c.lists.Load(); gets > looksAtOnce || lists != 1 {
		t.Errorf("%d Waits took %d gets and %d lists", waits, gets, lists)
	}
	e.watch.pods.remove(&record{identity: identity{"ns", c.pods[7].Name, string(c.pods[7].UID)}, version: "20"})
	before := c.gets.Load()
	if _, err := e.Get(&atom.EngineGetRequest{ID: ids[7]}); !isNotFound(err) || c.gets.Load() != before {
		t.Errorf("of a pod that is gone: %v after %d gets", err, c.gets.Load()-before)
	}
}

// eventually returns when it holds, and fails the test where that takes long.
func eventually(t *testing.T, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it does not come about")
		}
	}
}
