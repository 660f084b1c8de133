package kube

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/atom-router/atom-router/atom"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 500, time.UTC)

// podIn is a pod of ours whose status is changed by set.
func podIn(set func(*corev1.Pod)) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Name: "atom-x", Namespace: "ml", UID: "u-1", ResourceVersion: "7",
		Labels:      map[string]string{atom.Label: "atom", atom.LabelOwner: "me"},
		Annotations: map[string]string{atom.LabelCreated: "1795435200000000500"},
	}}
	p.Spec.NodeName = "n"
	set(p)
	return p
}

func terminated(code int32, reason string) corev1.ContainerState {
	at := metav1.NewTime(noon.Truncate(time.Second))
	return corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: code, Reason: reason, StartedAt: at, FinishedAt: at}}
}

func job(s corev1.ContainerState) []corev1.ContainerStatus {
	return []corev1.ContainerStatus{
		{Name: "sidecar", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}},
		{Name: containerName, State: s},
	}
}

func waitingFor(reason string) corev1.ContainerState {
	return corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: "because"}}
}

func TestRecordOf(t *testing.T) {
	s, err := settle(Config{})
	if err != nil {
		t.Fatal(err)
	}
	deleted := metav1.NewTime(noon)
	zero, some := int64(0), int64(30)
	for name, c := range map[string]struct {
		set    func(*corev1.Pod)
		state  atom.State
		result atom.Result
		code   int // -1 for none
		says   string
	}{
		"not scheduled": {func(p *corev1.Pod) {
			p.Spec.NodeName = ""
			p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: "Unschedulable", Message: "no room"}}
		}, atom.Created, atom.Unknown, -1, "Unschedulable: no room"},
		"pulling": {func(p *corev1.Pod) { p.Status.ContainerStatuses = job(waitingFor("ErrImagePull")) }, atom.Created, atom.Unknown, -1, "ErrImagePull: because"},
		"running": {func(p *corev1.Pod) {
			p.Status.ContainerStatuses = job(corev1.ContainerState{Running: &corev1.ContainerStateRunning{}})
		}, atom.Running, atom.Unknown, -1, ""},
		"succeeded":            {func(p *corev1.Pod) { p.Status.ContainerStatuses = job(terminated(0, "Completed")) }, atom.Stopped, atom.Success, 0, ""},
		"failed":               {func(p *corev1.Pod) { p.Status.ContainerStatuses = job(terminated(3, "Error")) }, atom.Stopped, atom.Failure, 3, ""},
		"phase without status": {func(p *corev1.Pod) { p.Status.Phase = corev1.PodSucceeded }, atom.Stopped, atom.Unknown, -1, ""},
		"out of memory":        {func(p *corev1.Pod) { p.Status.ContainerStatuses = job(terminated(137, "OOMKilled")) }, atom.Stopped, atom.ResourceFailure, 137, "out of memory"},
		"out of memory and 0":  {func(p *corev1.Pod) { p.Status.ContainerStatuses = job(terminated(0, "OOMKilled")) }, atom.Stopped, atom.Success, 0, "OOMKilled"},
		"killed":               {func(p *corev1.Pod) { p.Status.ContainerStatuses = job(terminated(137, "Error")) }, atom.Stopped, atom.Killed, 137, ""},
		"nonsense":             {func(p *corev1.Pod) { p.Status.ContainerStatuses = job(terminated(-137, "Error")) }, atom.Stopped, atom.Unknown, -137, ""},
		"evicted, exit 0": {func(p *corev1.Pod) {
			p.Status.Phase, p.Status.Reason, p.Status.Message = corev1.PodFailed, "Evicted", "low on disk"
			p.Status.ContainerStatuses = job(terminated(0, "Completed"))
		}, atom.Stopped, atom.ResourceFailure, 0, "Evicted: low on disk"},
		"disrupted": {func(p *corev1.Pod) {
			p.Status.Phase = corev1.PodFailed
			p.Status.Conditions = []corev1.PodCondition{{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue}}
			p.Status.ContainerStatuses = job(terminated(143, "Error"))
		}, atom.Stopped, atom.ResourceFailure, 143, ""},
		"refused by its node": {func(p *corev1.Pod) { p.Status.Phase, p.Status.Reason = corev1.PodFailed, "OutOfcpu" }, atom.Stopped, atom.ResourceFailure, -1, "OutOfcpu"},
		"no such program":     {func(p *corev1.Pod) { p.Status.ContainerStatuses = job(terminated(128, "StartError")) }, atom.Stopped, atom.StartupFailure, -1, "StartError"},
		"lost by its kubelet": {func(p *corev1.Pod) {
			s := terminated(137, reasonLost)
			s.Terminated.StartedAt, s.Terminated.Message = metav1.Time{}, "The container could not be located when the pod was deleted.  The container used to be Running"
			p.Status.ContainerStatuses = job(s)
		}, atom.Stopped, atom.Unknown, -1, reasonLost},
		"lost while it was stopped": {func(p *corev1.Pod) {
			p.Status.Phase, p.Status.Reason, p.Annotations[labelStop] = corev1.PodFailed, "DeadlineExceeded", "{}"
			s := terminated(137, reasonLost)
			s.Terminated.StartedAt, s.Terminated.Message = metav1.Time{}, "The container could not be located when the pod was terminated"
			p.Status.ContainerStatuses = job(s)
			p.Status.ContainerStatuses[len(p.Status.ContainerStatuses)-1].ContainerID = "containerd://1"
		}, atom.Stopped, atom.Unknown, -1, reasonLost},
		"stopped by its deadline, clean": {func(p *corev1.Pod) {
			p.Status.Phase, p.Status.Reason = corev1.PodFailed, "DeadlineExceeded"
			p.Annotations[labelStop] = "{}"
			p.Status.ContainerStatuses = job(terminated(0, "Completed"))
		}, atom.Stopped, atom.Success, 0, ""},
		"being stopped": {func(p *corev1.Pod) {
			p.Annotations[labelStop] = "{}"
			p.Status.ContainerStatuses = job(corev1.ContainerState{Running: &corev1.ContainerStateRunning{}})
		}, atom.Stopping, atom.Unknown, -1, ""},
		"stopped before any node": {func(p *corev1.Pod) {
			p.Spec.NodeName, p.DeletionTimestamp, p.DeletionGracePeriodSeconds = "", &deleted, &zero
			p.Finalizers, p.Annotations[labelStop] = []string{finalizer}, "{}"
		}, atom.Stopped, atom.Killed, -1, "before it started"},
		"given up": {func(p *corev1.Pod) {
			p.Spec.NodeName, p.DeletionTimestamp, p.DeletionGracePeriodSeconds = "", &deleted, &zero
			p.Finalizers, p.Annotations[labelFailed] = []string{finalizer}, `{"result":"resource_failure","message":"no room"}`
		}, atom.Stopped, atom.ResourceFailure, -1, "no room"},
		"deleted by somebody, running": {func(p *corev1.Pod) {
			p.DeletionTimestamp, p.DeletionGracePeriodSeconds = &deleted, &some
			p.Status.ContainerStatuses = job(corev1.ContainerState{Running: &corev1.ContainerStateRunning{}})
		}, atom.Deleting, atom.Unknown, -1, ""},
		"deleted by somebody before it ran": {func(p *corev1.Pod) {
			p.DeletionTimestamp, p.DeletionGracePeriodSeconds, p.Status.Phase = &deleted, &zero, corev1.PodFailed
			s := terminated(137, reasonLost)
			s.Terminated.StartedAt = metav1.Time{}
			p.Status.ContainerStatuses = job(s)
		}, atom.Stopped, atom.Unknown, -1, reasonLost},
	} {
		t.Run(name, func(t *testing.T) {
			info := s.recordOf(podIn(c.set)).info
			code := -1
			if info.ExitCode != nil {
				code = *info.ExitCode
			}
			if info.State != c.state || info.Result != c.result || code != c.code || !strings.Contains(info.Message, c.says) {
				t.Errorf("it is %s/%s, code %d, %q; want %s/%s, code %d, %q", info.State, info.Result, code, info.Message, c.state, c.result, c.code, c.says)
			}
			if info.ID != "ml/atom-x/u-1" || !info.CreatedAt.Equal(noon) {
				t.Errorf("ID %s, created %v", info.ID, info.CreatedAt)
			}
			// Kubernetes' whole seconds lie before our nanoseconds.
			if !info.StartedAt.IsZero() && info.StartedAt.Before(info.CreatedAt) || !info.StoppedAt.IsZero() && info.StoppedAt.Before(info.StartedAt) {
				t.Errorf("created %v, started %v, stopped %v", info.CreatedAt, info.StartedAt, info.StoppedAt)
			}
		})
	}
}

func TestOverdue(t *testing.T) {
	s, err := settle(Config{PullTimeout: "1m", StartupTimeout: "5m"})
	if err != nil {
		t.Fatal(err)
	}
	for reason, want := range map[string]time.Duration{
		"InvalidImageName": 0, "ErrImageNeverPull": 0, "CreateContainerConfigError": configGrace,
		"ErrImagePull": time.Minute, "ImagePullBackOff": time.Minute, "ContainerCreating": 5 * time.Minute, "Whatever": 5 * time.Minute,
	} {
		o := s.recordOf(podIn(func(p *corev1.Pod) { p.Status.ContainerStatuses = job(waitingFor(reason)) })).overdue
		if got := o.at.Sub(noon); got != want || o.result != atom.StartupFailure || !strings.Contains(o.message, reason) {
			t.Errorf("%s: overdue after %v as %s (%s); want %v", reason, got, o.result, o.message, want)
		}
	}
	o := s.recordOf(podIn(func(p *corev1.Pod) { p.Spec.NodeName = "" })).overdue
	if o.at.Sub(noon) != 5*time.Minute || o.result != atom.ResourceFailure {
		t.Errorf("unscheduled: overdue after %v as %s", o.at.Sub(noon), o.result)
	}
}
