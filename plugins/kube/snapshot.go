package kube

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/atom-router/atom-router/atom"
)

// record is what the engine keeps of a pod. It is immutable.
type record struct {
	identity
	version string // resourceVersion
	owner   string
	hash    string
	info    atom.Info

	over    bool // the job has ended, or will never run
	began   bool // the job runs or ran
	placed  bool // a node was chosen
	doomed  bool // deleted, and not gone yet
	held    bool // our finalizer keeps it
	closed  bool // all its containers have ended
	ending  bool // its deadline was set to end it
	grace   int64
	keep    []string // finalizers
	stop    *stopMark
	failed  *failedMark
	overdue overdue
}

// ours reports whether a pod is an atom of owner.
func (r *record) ours(owner string) bool { return r.owner != "" && r.owner == atom.OwnerOr(owner) }

// recordOf reads a pod.
func (s *settings) recordOf(p *corev1.Pod) *record {
	r := &record{
		identity: identity{p.Namespace, p.Name, string(p.UID)},
		version:  p.ResourceVersion,
		owner:    p.Labels[atom.LabelOwner],
		hash:     p.Annotations[atom.LabelHash],
		placed:   p.Spec.NodeName != "",
		doomed:   p.DeletionTimestamp != nil,
		held:     slices.Contains(p.Finalizers, finalizer),
		keep:     p.Finalizers,
		stop:     mark[stopMark](p, labelStop),
		failed:   mark[failedMark](p, labelFailed),
		closed:   p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed,
	}
	r.ending = p.Spec.ActiveDeadlineSeconds != nil && *p.Spec.ActiveDeadlineSeconds == 1
	if p.Spec.TerminationGracePeriodSeconds != nil {
		r.grace = *p.Spec.TerminationGracePeriodSeconds
	}
	r.info = atom.Info{
		ID: r.identity.String(), Name: p.Annotations[atom.LabelName], Image: p.Annotations[labelImage],
		Rule: p.Annotations[atom.LabelRule], CreatedAt: createdAt(p), Result: atom.Unknown,
	}
	if text := p.Annotations[labelUser]; text != "" {
		_ = json.Unmarshal([]byte(text), &r.info.Labels) // what is not JSON was not written by us
	}
	status := jobStatus(p)
	r.began = hasBegun(status)
	// A kubelet that is done with a deleted pod takes the rest of its grace
	// away; so does the API server with one that no kubelet has.
	let := r.doomed && p.DeletionGracePeriodSeconds != nil && *p.DeletionGracePeriodSeconds == 0
	r.over = r.closed || status.State.Terminated != nil || let && r.held
	if r.began {
		r.info.StartedAt = latest(r.info.CreatedAt, startedAt(status))
	}
	if r.over {
		r.end(p, status)
		return r
	}
	switch {
	case r.stop != nil:
		r.info.State = atom.Stopping
	case r.failed != nil:
		r.info.State = atom.Created
	case r.doomed:
		r.info.State = atom.Deleting
	case r.began:
		r.info.State = atom.Running
	case p.Status.Phase == corev1.PodUnknown:
		r.info.State = atom.Invalid
	default:
		r.info.State = atom.Created
	}
	if !r.began {
		why := waiting(p)
		r.info.Message = why.String()
		if r.stop == nil && r.failed == nil && !r.doomed {
			r.overdue = s.overdueOf(p, why, r.info.CreatedAt)
		}
	}
	return r
}

// end fills in how the job ended.
func (r *record) end(p *corev1.Pod, status corev1.ContainerStatus) {
	r.info.State = atom.Stopped
	t := status.State.Terminated
	if r.began && t != nil {
		// Kubernetes' times are whole seconds; an atom's are in order.
		r.info.StoppedAt = latest(r.info.StartedAt, t.FinishedAt.Time.UTC())
	}
	exit := exitOf(p, r, t)
	r.info.Result = exit.Result()
	if r.began || !exit.NeverStarted {
		r.info.ExitCode = exit.Code // the runtime makes one up for what never ran
	}
	r.info.Message = endMessage(p, t)
	switch {
	case r.began:
	case r.failed != nil && r.failed.Result != "":
		r.info.Result, r.info.Message, r.info.ExitCode = r.failed.Result, r.failed.Message, nil
	case r.stop != nil:
		r.info.Result, r.info.Message, r.info.ExitCode = atom.Killed, "stopped before it started", nil
	}
	if r.info.Result == atom.ResourceFailure && exit.OutOfMemory {
		r.info.Message = "out of memory: killed by the kernel" + memoryLimit(p)
	}
}

func exitOf(p *corev1.Pod, r *record, t *corev1.ContainerStateTerminated) atom.Exit {
	exit := atom.Exit{NeverStarted: !r.began, Reclaimed: r.stop == nil && reclaimed(p)}
	lost := t == nil || t.Reason == reasonLost
	if lost && (r.doomed && !r.held || p.Status.Phase == corev1.PodSucceeded) {
		exit.NeverStarted = false // somebody deleted it, or Kubernetes contradicts itself
	}
	if !lost {
		code := int(t.ExitCode)
		exit.Code = &code
		exit.OutOfMemory = t.Reason == "OOMKilled"
	}
	return exit
}

// reclaimed reports whether the cluster took the pod's place away: eviction,
// preemption, a node that shuts down or is gone, or that refused the pod for
// want of resources
// (https://kubernetes.io/docs/concepts/workloads/pods/disruptions/#pod-disruption-conditions).
func reclaimed(p *corev1.Pod) bool {
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.DisruptionTarget && c.Status == corev1.ConditionTrue {
			return true
		}
	}
	switch p.Status.Reason {
	case "Evicted", "Preempting", "NodeShutdown", "Terminated", "NodeLost", "Shutdown", "NodeAffinity", "UnexpectedAdmissionError":
		return true
	}
	return strings.HasPrefix(p.Status.Reason, "OutOf")
}

func endMessage(p *corev1.Pod, t *corev1.ContainerStateTerminated) string {
	var parts []string
	if reason := p.Status.Reason; reason != "" && reason != "DeadlineExceeded" {
		parts = append(parts, join(reason, p.Status.Message))
	}
	if t != nil && t.Reason != "Completed" && t.Reason != "Error" {
		parts = append(parts, join(t.Reason, t.Message))
	}
	if t == nil && p.Status.Reason == "" {
		for _, c := range p.Status.InitContainerStatuses {
			if x := c.State.Terminated; x != nil && x.ExitCode != 0 {
				parts = append(parts, "init container "+c.Name+" ended with code "+strconv.Itoa(int(x.ExitCode)))
			}
		}
	}
	return strings.Join(parts, "; ")
}

func join(reason, message string) string {
	if message = strings.TrimSpace(message); message == "" || reason == "" {
		return reason + message
	}
	return reason + ": " + message
}

func memoryLimit(p *corev1.Pod) string {
	for _, c := range p.Spec.Containers {
		if q, ok := c.Resources.Limits[corev1.ResourceMemory]; ok && c.Name == containerName {
			return " at the limit of " + strconv.FormatInt(q.Value(), 10) + " bytes"
		}
	}
	return ""
}

// jobStatus is the status of the job's container. Sidecars have others.
func jobStatus(p *corev1.Pod) corev1.ContainerStatus {
	for _, c := range p.Status.ContainerStatuses {
		if c.Name == containerName {
			return c
		}
	}
	return corev1.ContainerStatus{}
}

// reasonLost is the reason of a container that the kubelet cannot find any
// more: nobody knows how it ended.
const reasonLost = "ContainerStatusUnknown"

// hasBegun reports whether the job's process ever ran. The runtime says of one
// that could not be started that it ended, with reasons of its own.
func hasBegun(c corev1.ContainerStatus) bool {
	if c.State.Running != nil {
		return true
	}
	t := c.State.Terminated
	if t == nil {
		return false
	}
	switch t.Reason {
	case "StartError", "ContainerCannotRun", "CreateContainerError", "CreateContainerConfigError", "RunContainerError":
		return false
	}
	// The kubelet makes up the end of a container that it cannot find; that it
	// had one shows in the ID.
	return t.Reason != reasonLost || c.ContainerID != "" || !never(t.StartedAt) || strings.Contains(t.Message, "used to be Running")
}

func startedAt(c corev1.ContainerStatus) time.Time {
	var at metav1.Time
	switch {
	case c.State.Running != nil:
		at = c.State.Running.StartedAt
	case c.State.Terminated != nil:
		at = c.State.Terminated.StartedAt
	}
	if never(at) {
		return time.Time{}
	}
	return at.UTC()
}

// never reports a time that stands for none: zero, or the epoch.
func never(t metav1.Time) bool { return t.IsZero() || t.Unix() <= 0 }

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// createdAt is our own record, and Kubernetes' whole second where that is
// unreadable.
func createdAt(p *corev1.Pod) time.Time {
	if ns, err := strconv.ParseInt(p.Annotations[atom.LabelCreated], 10, 64); err == nil {
		return time.Unix(0, ns).UTC()
	}
	return p.CreationTimestamp.UTC()
}
