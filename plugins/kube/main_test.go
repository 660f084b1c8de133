package kube

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/internal/testenv/kubespace"
)

// space is a namespace of one test.
type space struct{ *kubespace.Space }

func newSpace(t testing.TB) space { return space{kubespace.New(t, nil)} }

// engine is one on this namespace, with the account's rights.
func (s space) engine(t testing.TB, c Config) *Engine {
	t.Helper()
	if c.Kubeconfig == "" {
		c.Kubeconfig = s.Kubeconfig
	}
	e, err := New(t.Context(), c, nil)
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

// finishedPod is the i-th of many atoms that have ended, on a node that is
// none.
func finishedPod(i int, image string) *corev1.Pod {
	at := metav1.NewTime(time.Unix(1e9, 0))
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name:        fmt.Sprintf("atom-%05d", i),
			Labels:      map[string]string{atom.Label: "atom", atom.LabelOwner: atom.DefaultOwner},
			Annotations: map[string]string{atom.LabelCreated: strconv.FormatInt(1e18+int64(i), 10), labelImage: image},
		},
		Spec: corev1.PodSpec{
			NodeName: "no-such-node", RestartPolicy: corev1.RestartPolicyNever,
			Containers: []corev1.Container{{Name: containerName, Image: image}},
		},
		Status: corev1.PodStatus{Phase: corev1.PodSucceeded, ContainerStatuses: []corev1.ContainerStatus{{
			Name: containerName, Image: image,
			State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Reason: "Completed", StartedAt: at, FinishedAt: at}},
		}}},
	}
}
