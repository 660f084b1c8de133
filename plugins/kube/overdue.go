package kube

import (
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/atom-router/atom-router/atom"
)

// configGrace is how long what a pod refers to may take to appear.
const configGrace = 10 * time.Second

// overdue says when a pod that has not started counts as failed, and as what.
type overdue struct {
	at      time.Time // zero for never
	result  atom.Result
	message string
}

// wait says why a pod has not started.
type wait struct{ reason, message string }

func (w wait) String() string { return join(w.reason, w.message) }

// waiting is why a pod's job has not started: what holds up its containers,
// or else the scheduler.
func waiting(p *corev1.Pod) wait {
	all := append(append([]corev1.ContainerStatus(nil), p.Status.InitContainerStatuses...), p.Status.ContainerStatuses...)
	found := wait{}
	for _, c := range all {
		w := c.State.Waiting
		if w == nil {
			continue
		}
		switch w.Reason {
		case "", "PodInitializing", "ContainerCreating":
			if found.reason == "" {
				found = wait{w.Reason, w.Message}
			}
		default:
			return wait{w.Reason, w.Message}
		}
	}
	if found.reason == "" {
		for _, c := range p.Status.Conditions {
			if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
				return wait{c.Reason, c.Message}
			}
		}
	}
	return found
}

// overdueOf says how long a pod may go on waiting for that.
func (s *settings) overdueOf(p *corev1.Pod, why wait, created time.Time) overdue {
	taken := created // by a kubelet
	if p.Status.StartTime != nil {
		taken = latest(created, p.Status.StartTime.UTC())
	}
	o := overdue{result: atom.StartupFailure, message: why.String()}
	switch why.reason {
	case "InvalidImageName", "ErrImageNeverPull":
		o.at = taken
	case "CreateContainerConfigError":
		o.at = taken.Add(configGrace)
	case "ErrImagePull", "ImagePullBackOff", "RegistryUnavailable", "ImageInspectError", "SignatureValidationFailed":
		o.at = taken.Add(s.pull)
	default:
		o.at = created.Add(s.startup)
		if p.Spec.NodeName == "" {
			o.result = atom.ResourceFailure
		}
		if o.message == "" {
			o.message = "nothing took the pod up"
		}
		o.message += " (not started within the startup_timeout of " + s.startup.String() + ")"
	}
	return o
}
