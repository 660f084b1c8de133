package kube

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/distribution/reference"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/atom/container"
)

const (
	// containerName is the job's container in its pod. Others may stand
	// beside it: sidecars of a template, or injected by the cluster.
	containerName = "atom"
	// labelUser is the annotation that keeps Spec.Labels as JSON. Kubernetes'
	// labels are for shorter values, and the backend's stand among them.
	labelUser = atom.Label + ".labels"
	// labelImage is the annotation that keeps the image as it was asked for:
	// admission may write another into the spec.
	labelImage = atom.Label + ".image"
	// minMemory is Docker's own minimum. With less no process starts.
	minMemory = 6 << 20
)

// podFor is the pod for a request, upon the template.
func (e *Engine) podFor(r *atom.EngineCreateRequest, name string, now time.Time) (*corev1.Pod, error) {
	s := &e.settings
	if _, err := reference.ParseAnyReference(r.Image); err != nil {
		return nil, &atom.FieldError{Field: "image", Reason: fmt.Sprintf("%q: %v", r.Image, err)}
	}
	user, err := securityFor(r.Spec.User, s)
	if err != nil {
		return nil, err
	}
	resources, err := resourcesFor(r.Spec.Resources, s.GPUResource)
	if err != nil {
		return nil, err
	}
	volumes, mounts, err := s.mountsFor(r.Spec.Mounts)
	if err != nil {
		return nil, err
	}
	stop := s.stop
	if r.Spec.StopTimeout > 0 {
		stop = r.Spec.StopTimeout
	}
	grace := wholeSeconds(stop)
	never := false
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: name, Namespace: e.api.namespace,
			Labels: labelsFor(r, s), Annotations: annotationsFor(r, s, now),
		},
		Spec: corev1.PodSpec{
			RestartPolicy:                 corev1.RestartPolicyNever,
			TerminationGracePeriodSeconds: &grace,
			ServiceAccountName:            s.ServiceAccount,
			AutomountServiceAccountToken:  &s.AutomountToken,
			EnableServiceLinks:            &never, // variables that nobody asked for
			NodeSelector:                  s.NodeSelector,
			Tolerations:                   s.tolerations,
			PriorityClassName:             s.PriorityClass,
			Volumes:                       volumes,
			Containers: []corev1.Container{{
				Name: containerName, Image: r.Image, ImagePullPolicy: pullPolicies[r.Spec.PullPolicy],
				Command: escapeAll(r.Spec.Entrypoint), Args: escapeAll(r.Command),
				WorkingDir: r.Spec.WorkDir, Env: envFor(r.Spec.Env),
				Resources: resources, VolumeMounts: mounts, SecurityContext: user,
			}},
		},
	}
	if s.RuntimeClass != "" {
		pod.Spec.RuntimeClassName = &s.RuntimeClass
	}
	for _, name := range s.ImagePullSecrets {
		pod.Spec.ImagePullSecrets = append(pod.Spec.ImagePullSecrets, corev1.LocalObjectReference{Name: name})
	}
	return onto(s.template, pod)
}

var pullPolicies = map[container.PullPolicy]corev1.PullPolicy{
	"":                         corev1.PullIfNotPresent,
	container.PullIfNotPresent: corev1.PullIfNotPresent,
	container.PullAlways:       corev1.PullAlways,
	container.PullNever:        corev1.PullNever,
}

// escape keeps Kubernetes from expanding $(NAME): in env, command and args it
// makes one $ of two
// (https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/).
func escape(text string) string { return strings.ReplaceAll(text, "$", "$$") }

func escapeAll(texts []string) []string {
	out := slices.Clone(texts)
	for i, t := range out {
		out[i] = escape(t)
	}
	return out
}

func envFor(env map[string]string) []corev1.EnvVar {
	var out []corev1.EnvVar
	for _, k := range slices.Sorted(maps.Keys(env)) {
		out = append(out, corev1.EnvVar{Name: k, Value: escape(env[k])})
	}
	return out
}

// labelsFor are labels of the backend, of the atom where Kubernetes can have
// them, and ours, each over the one before.
func labelsFor(r *atom.EngineCreateRequest, s *settings) map[string]string {
	labels := make(map[string]string, len(s.Labels)+len(r.Spec.Labels)+2)
	maps.Copy(labels, s.Labels)
	for k, v := range r.Spec.Labels {
		if len(validation.IsQualifiedName(k)) == 0 && len(validation.IsValidLabelValue(v)) == 0 {
			labels[k] = v
		}
	}
	labels[atom.Label] = "atom"
	labels[atom.LabelOwner] = atom.OwnerOr(r.Owner)
	return labels
}

func annotationsFor(r *atom.EngineCreateRequest, s *settings, now time.Time) map[string]string {
	notes := make(map[string]string, len(s.Annotations)+6)
	maps.Copy(notes, s.Annotations)
	notes[atom.LabelCreated] = strconv.FormatInt(now.UnixNano(), 10)
	notes[atom.LabelHash] = r.Hash()
	notes[labelImage] = r.Image
	if r.Name != "" {
		notes[atom.LabelName] = r.Name
	}
	if r.Rule != "" {
		notes[atom.LabelRule] = r.Rule
	}
	if len(r.Spec.Labels) > 0 {
		text, _ := json.Marshal(r.Spec.Labels) // strings always encode
		notes[labelUser] = string(text)
	}
	return notes
}

// securityFor is the job's user, which Kubernetes knows by number only, and
// what the backend's config takes away.
func securityFor(user string, s *settings) (*corev1.SecurityContext, error) {
	c := &corev1.SecurityContext{SeccompProfile: s.seccomp}
	if s.RunAsNonRoot {
		c.RunAsNonRoot = &s.RunAsNonRoot
	}
	if len(s.DropCapabilities) > 0 {
		c.Capabilities = &corev1.Capabilities{}
		for _, d := range s.DropCapabilities {
			c.Capabilities.Drop = append(c.Capabilities.Drop, corev1.Capability(d))
		}
	}
	if user == "" {
		return c, nil
	}
	name, group, grouped := strings.Cut(user, ":")
	uid, err := strconv.ParseUint(name, 10, 31)
	if err != nil {
		return nil, &atom.FieldError{Field: "spec.user", Reason: fmt.Sprintf("%q: Kubernetes takes numbers only, as in 1000 or 1000:1000", user)}
	}
	id := int64(uid)
	c.RunAsUser = &id
	if s.RunAsNonRoot && id == 0 {
		return nil, &atom.FieldError{Field: "spec.user", Reason: "is root, and this backend has run_as_non_root"}
	}
	if grouped {
		gid, err := strconv.ParseUint(group, 10, 31)
		if err != nil {
			return nil, &atom.FieldError{Field: "spec.user", Reason: fmt.Sprintf("%q: Kubernetes takes numbers only, as in 1000 or 1000:1000", user)}
		}
		id := int64(gid)
		c.RunAsGroup = &id
	}
	return c, nil
}

func resourcesFor(r container.Resources, gpu string) (corev1.ResourceRequirements, error) {
	limits := corev1.ResourceList{}
	if r.CPU > 0 {
		limits[corev1.ResourceCPU] = *resource.NewMilliQuantity(int64(math.Ceil(r.CPU*1000)), resource.DecimalSI)
	}
	if r.Memory > 0 {
		if r.Memory < minMemory {
			return corev1.ResourceRequirements{}, &atom.FieldError{Field: "spec.resources.memory", Reason: fmt.Sprintf("%d bytes are too few for any process to start; at least 6 MiB", r.Memory)}
		}
		limits[corev1.ResourceMemory] = *resource.NewQuantity(r.Memory, resource.BinarySI)
	}
	if r.GPUs > 0 {
		limits[corev1.ResourceName(gpu)] = *resource.NewQuantity(int64(r.GPUs), resource.DecimalSI)
	}
	if len(limits) == 0 {
		return corev1.ResourceRequirements{}, nil
	}
	return corev1.ResourceRequirements{Limits: limits}, nil
}

// mountsFor are the volumes of a pod and where its container has them. A
// volume that is mounted twice stands once among the volumes.
func (s *settings) mountsFor(mounts []container.Mount) ([]corev1.Volume, []corev1.VolumeMount, error) {
	var volumes []corev1.Volume
	var at []corev1.VolumeMount
	claims := make(map[string]string)
	directory := corev1.HostPathDirectory // must be there: without a type a missing one would be made
	for i, m := range mounts {
		name := "atom-" + strconv.Itoa(i)
		v := corev1.Volume{Name: name}
		switch m.Type {
		case container.MountTypeBind:
			if !s.AllowHostPath {
				return nil, nil, &atom.FieldError{Field: fmt.Sprintf("spec.mounts[%d].type", i), Reason: "binds a path of the node, and this backend's config does not say allow_host_path = true"}
			}
			v.HostPath = &corev1.HostPathVolumeSource{Path: m.Source, Type: &directory}
		case container.MountTypeVolume:
			if says := validation.IsDNS1123Subdomain(m.Source); len(says) > 0 {
				return nil, nil, &atom.FieldError{Field: fmt.Sprintf("spec.mounts[%d].source", i), Reason: fmt.Sprintf("%q names no PersistentVolumeClaim: %s", m.Source, says[0])}
			}
			if other, ok := claims[m.Source]; ok {
				at = append(at, corev1.VolumeMount{Name: other, MountPath: m.Target, ReadOnly: m.ReadOnly})
				continue
			}
			claims[m.Source] = name
			v.PersistentVolumeClaim = &corev1.PersistentVolumeClaimVolumeSource{ClaimName: m.Source}
		case container.MountTypeTmpfs:
			v.EmptyDir = &corev1.EmptyDirVolumeSource{Medium: corev1.StorageMediumMemory}
		}
		volumes = append(volumes, v)
		at = append(at, corev1.VolumeMount{Name: name, MountPath: m.Target, ReadOnly: m.ReadOnly})
	}
	return volumes, at, nil
}
