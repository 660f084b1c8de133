package main

import (
	"context"
	"fmt"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"
)

// straight is client-go used as its users do: one shared informer, and an
// event handler that wakes who waits. It takes a job for ended when the engine
// does, with its container.
type straight struct {
	c     *cluster
	mu    sync.Mutex
	ended map[string]chan corev1.PodPhase
}

func (c *cluster) startStraight(ctx context.Context) (*straight, func(), error) {
	s := &straight{c: c, ended: make(map[string]chan corev1.PodPhase)}
	stop, err := c.watchPods(ctx, cache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { s.look(o.(*corev1.Pod)) },
		UpdateFunc: func(_, o any) { s.look(o.(*corev1.Pod)) },
	})
	return s, stop, err
}

func (s *straight) end(name string) chan corev1.PodPhase {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended[name] == nil {
		s.ended[name] = make(chan corev1.PodPhase, 1)
	}
	return s.ended[name]
}

func (s *straight) look(p *corev1.Pod) {
	phase := p.Status.Phase
	if phase != corev1.PodSucceeded && phase != corev1.PodFailed {
		// A kubelet tells of the container's end before the pod's.
		if len(p.Status.ContainerStatuses) == 0 || p.Status.ContainerStatuses[0].State.Terminated == nil {
			return
		}
		phase = corev1.PodFailed
		if p.Status.ContainerStatuses[0].State.Terminated.ExitCode == 0 {
			phase = corev1.PodSucceeded
		}
	}
	select {
	case s.end(p.Name) <- phase:
	default:
	}
}

func (s *straight) run(ctx context.Context) (string, error) {
	name, err := s.c.createStraight(ctx)
	if err != nil {
		return "", err
	}
	select {
	case phase := <-s.end(name):
		if phase != corev1.PodSucceeded {
			err = fmt.Errorf("pod %s is %s", name, phase)
		}
	case <-ctx.Done():
		err = ctx.Err()
	}
	return name, err
}

// createStraight makes a pod as the engine does it.
func (c *cluster) createStraight(ctx context.Context) (string, error) {
	grace := int64(10) // as the engine's pods have it, and no token
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "straight-"},
		Spec: corev1.PodSpec{
			NodeName: c.node, RestartPolicy: corev1.RestartPolicyNever,
			AutomountServiceAccountToken: new(bool), TerminationGracePeriodSeconds: &grace,
			Containers: []corev1.Container{{Name: "atom", Image: c.image}},
		},
	}
	made, err := c.straight.CoreV1().Pods(c.namespace).Create(ctx, pod, metav1.CreateOptions{})
	if err != nil {
		return "", err
	}
	return made.Name, nil
}
