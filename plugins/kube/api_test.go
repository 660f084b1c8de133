package kube

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/atom-router/atom-router/atom"
)

// An API server that has just begun has no roles yet and forbids everything, its
// own readiness too; that may take longer than a wrong token is worth waiting for.
func TestForbiddenWhileItBegins(t *testing.T) {
	for _, test := range []struct {
		name   string
		code   int32
		reason metav1.StatusReason
		is     func(error) bool
	}{
		{"forbidden", http.StatusForbidden, metav1.StatusReasonForbidden, func(err error) bool { return err == nil }},
		{"unknown", http.StatusUnauthorized, metav1.StatusReasonUnauthorized, errdefs.IsPermissionDenied},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			pod := servedPod()
			ready := time.Now().Add(unknownTime + 2*time.Second)
			e := engineAt(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				switch {
				case time.Now().Before(ready):
					w.WriteHeader(int(test.code))
					_ = json.NewEncoder(w).Encode(metav1.Status{
						TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: metav1.StatusFailure, Code: test.code, Reason: test.reason,
					})
				case strings.HasSuffix(r.URL.Path, "/"+pod.Name):
					_ = json.NewEncoder(w).Encode(pod)
				}
			}))
			_, err := e.Get(&atom.EngineGetRequest{ID: identity{"ns", pod.Name, "uid"}.String(), Context: t.Context()})
			if !test.is(err) {
				t.Errorf("get: %v", err)
			}
		})
	}
}
