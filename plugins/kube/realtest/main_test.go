// Package realtest has the tests of package kube that need a real cluster and
// none of the engine's inside. They stand apart from the conformance suite,
// beside which they run: that counts goroutines.
package realtest

import (
	"context"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/atom-router/atom-router/internal/testenv/kubespace"
	"github.com/atom-router/atom-router/plugins/kube"
)

// space is a namespace of one test.
type space struct{ *kubespace.Space }

func newSpace(t testing.TB) space { return space{kubespace.New(t, nil)} }

// engine is one on this namespace, with the account's rights.
func (s space) engine(t testing.TB, c kube.Config) *kube.Engine {
	t.Helper()
	if c.Kubeconfig == "" {
		c.Kubeconfig = s.Kubeconfig
	}
	e, err := kube.New(t.Context(), c, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}

// pod is an atom's, as the administrator sees it.
func (s space) pod(t testing.TB, id string) *corev1.Pod {
	t.Helper()
	p, err := s.Admin.CoreV1().Pods(s.Name).Get(t.Context(), nameOf(t, id), metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func nameOf(t testing.TB, id string) string {
	t.Helper()
	parts := strings.Split(id, "/")
	if len(parts) != 3 {
		t.Fatalf("the ID is %q", id)
	}
	return parts[1]
}

// containerName is the engine's for the container of the job.
const containerName = "atom"

// pause waits, or not as long as that where ctx ends.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}
