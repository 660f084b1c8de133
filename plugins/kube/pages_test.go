package kube

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/atom-router/atom-router/atom"
)

// paged is an API server that lists pods by name, page by page, and forgets
// once what comes after the second page. Watches are refused.
type paged struct {
	pods []corev1.Pod

	mu     sync.Mutex
	forgot bool
	limits []string
}

func (p *paged) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	q := r.URL.Query()
	from, _ := strconv.Atoi(q.Get("continue"))
	limit, _ := strconv.Atoi(q.Get("limit"))
	refuse := func(code int32, reason metav1.StatusReason) {
		w.WriteHeader(int(code))
		_ = json.NewEncoder(w).Encode(metav1.Status{TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: "Failure", Code: code, Reason: reason})
	}
	switch {
	case q.Get("watch") != "" || q.Get("labelSelector") == atom.Label:
		refuse(http.StatusServiceUnavailable, metav1.StatusReasonServiceUnavailable)
		return
	case from > firstPage && !p.forgot:
		p.forgot = true
		refuse(http.StatusGone, metav1.StatusReasonExpired)
		return
	}
	p.limits = append(p.limits, q.Get("limit"))
	list := corev1.PodList{TypeMeta: metav1.TypeMeta{Kind: "PodList", APIVersion: "v1"}, Items: p.pods[from:min(from+limit, len(p.pods))]}
	if from+limit < len(p.pods) {
		list.Continue = strconv.Itoa(from + limit)
	}
	_ = json.NewEncoder(w).Encode(list)
}

// A list comes by pages, a short one first, and each pod once although the API
// server makes it begin again.
func TestPagesThatAreForgotten(t *testing.T) {
	p := &paged{}
	const n = firstPage + pageSize + 10
	for i := range n {
		one := *finishedPod(i, "image")
		one.UID = types.UID(strconv.Itoa(i))
		p.pods = append(p.pods, one)
	}
	server := httptest.NewServer(p)
	t.Cleanup(server.Close)
	file := filepath.Join(t.TempDir(), "kubeconfig")
	text := fmt.Sprintf(`{"apiVersion": "v1", "kind": "Config", "current-context": "x",
		"contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}], "users": [{"name": "x", "user": {}}],
		"clusters": [{"name": "x", "cluster": {"server": %q}}]}`, server.URL)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	e, err := New(t.Context(), Config{Kubeconfig: file}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	enough, calls := errors.New("enough"), 0
	if err := e.StreamList(&atom.EngineListRequest{Context: t.Context()}, func(atom.Atom) error { calls++; return enough }); err != enough || calls != 1 {
		t.Errorf("%v after %d", err, calls)
	}
	if want := []string{strconv.Itoa(firstPage)}; !slices.Equal(p.limits, want) {
		t.Errorf("for the first atom, pages of %v", p.limits)
	}
	list, err := e.List(&atom.EngineListRequest{Context: t.Context()})
	if err != nil || len(list) != n || !p.forgot {
		t.Fatalf("%d atoms, %v; want %d, and that the list began again: %v", len(list), err, n, p.forgot)
	}
	for i, a := range list {
		if a.CreatedAt().UnixNano() != int64(1e18)+int64(i) {
			t.Fatalf("atom %d was created %d", i, a.CreatedAt().UnixNano())
		}
	}
}
