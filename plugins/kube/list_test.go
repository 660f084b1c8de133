package kube

import (
	"errors"
	"fmt"
	"strconv"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/internal/testenv"
	"github.com/atom-router/atom-router/internal/testenv/kubespace"
)

// A list is paged, and complete.
func TestListOfManyPages(t *testing.T) {
	s := kubespace.New(t, nil)
	// Finished pods that no node knows of.
	const n = 2*pageSize + 10
	for i := range n {
		p := finishedPod(i, testenv.KubeImage(t))
		made, err := s.Admin.CoreV1().Pods(s.Name).Create(t.Context(), p, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		made.Status = p.Status
		if _, err := s.Admin.CoreV1().Pods(s.Name).UpdateStatus(t.Context(), made, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	e, err := New(t.Context(), Config{Kubeconfig: s.Kubeconfig}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	for _, how := range []string{"before the watch", "from the watch"} {
		list, err := e.List(&atom.EngineListRequest{Context: t.Context()})
		if err != nil || len(list) != n {
			t.Fatalf("%s: %d atoms, %v; want %d", how, len(list), err, n)
		}
		for i, a := range list {
			if a.CreatedAt().UnixNano() != int64(1e18)+int64(i) || a.Result() != atom.Success {
				t.Fatalf("%s: atom %d was created %d and is %s", how, i, a.CreatedAt().UnixNano(), a.Result())
			}
		}
		s.Eventually(t, "the watch", func() error {
			if _, current := e.watch.pods.get("x"); !current {
				return errors.New("not yet")
			}
			return nil
		})
	}
	if page, err := e.List(&atom.EngineListRequest{Context: t.Context(), Since: time.Unix(0, 1e18+3), Before: time.Unix(0, 1e18+5)}); err != nil || len(page) != 2 {
		t.Errorf("a range of two gives %d, %v", len(page), err)
	}
}

// finishedPod is the i-th of many atoms that have ended, on no node: nobody
// takes it up, and pods of a node that is not there are collected after 40
// seconds (k8s.io/kubernetes, pkg/controller/podgc).
func finishedPod(i int, image string) *corev1.Pod {
	at := metav1.NewTime(time.Unix(1e9, 0))
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name:        fmt.Sprintf("atom-%05d", i),
			Labels:      map[string]string{atom.Label: "atom", atom.LabelOwner: atom.DefaultOwner},
			Annotations: map[string]string{atom.LabelCreated: strconv.FormatInt(1e18+int64(i), 10), labelImage: image},
		},
		Spec: corev1.PodSpec{
			SchedulerName: "nobody", RestartPolicy: corev1.RestartPolicyNever,
			Containers: []corev1.Container{{Name: containerName, Image: image}},
		},
		Status: corev1.PodStatus{Phase: corev1.PodSucceeded, ContainerStatuses: []corev1.ContainerStatus{{
			Name: containerName, Image: image,
			State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Reason: "Completed", StartedAt: at, FinishedAt: at}},
		}}},
	}
}

// servedPod is a finished pod as an API server gives it.
func servedPod() *corev1.Pod {
	p := finishedPod(1, "image")
	p.TypeMeta = metav1.TypeMeta{Kind: "Pod", APIVersion: "v1"}
	p.Namespace, p.ResourceVersion, p.UID = "ns", "5", "uid"
	return p
}
