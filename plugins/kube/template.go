package kube

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"sigs.k8s.io/yaml"

	"github.com/atom-router/atom-router/atom"
)

// parseTemplate reads a pod template strictly: what Kubernetes does not know
// is a mistake, and so is what the engine sets itself.
func parseTemplate(text string) (*corev1.PodTemplateSpec, error) {
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	var kind struct {
		Kind string `json:"kind"`
	}
	if err := yaml.Unmarshal([]byte(text), &kind); err != nil {
		return nil, fmt.Errorf("is neither YAML nor JSON: %w", err)
	}
	if kind.Kind != "" {
		return nil, fmt.Errorf("is a %s; what belongs here is a pod template, which begins with metadata or spec", kind.Kind)
	}
	var t corev1.PodTemplateSpec
	if err := yaml.UnmarshalStrict([]byte(text), &t); err != nil {
		return nil, fmt.Errorf("is no pod template: %w", err)
	}
	var errs []error
	for _, keys := range []map[string]string{t.Labels, t.Annotations} {
		for key := range keys {
			if reserved(key) {
				errs = append(errs, fmt.Errorf("%q: what stands under %q is reserved", key, atom.Label))
			}
		}
	}
	if t.Name != "" || t.Namespace != "" || len(t.Finalizers) > 0 || len(t.OwnerReferences) > 0 {
		errs = append(errs, errors.New("name, namespace, finalizers and owners of a pod are not the template's"))
	}
	if p := t.Spec.RestartPolicy; p != "" && p != corev1.RestartPolicyNever {
		errs = append(errs, fmt.Errorf("restartPolicy %s: an atom runs once", p))
	}
	for _, c := range t.Spec.Containers {
		if c.Name == containerName && (c.Image != "" || len(c.Command) > 0 || len(c.Args) > 0) {
			errs = append(errs, fmt.Errorf("container %s: image, command and args are the job's", containerName))
		}
	}
	return &t, errors.Join(errs...)
}

// onto merges pod strategically over the template, as kubectl patch would.
func onto(template *corev1.PodTemplateSpec, pod *corev1.Pod) (*corev1.Pod, error) {
	if template == nil {
		return pod, nil
	}
	under, err := json.Marshal(corev1.Pod{ObjectMeta: template.ObjectMeta, Spec: template.Spec})
	if err != nil {
		return nil, err
	}
	over, err := json.Marshal(pod)
	if err != nil {
		return nil, err
	}
	merged, err := strategicpatch.StrategicMergePatch(under, over, corev1.Pod{})
	if err != nil {
		return nil, fmt.Errorf("merging with the template: %w", err)
	}
	var out corev1.Pod
	if err := json.Unmarshal(merged, &out); err != nil {
		return nil, fmt.Errorf("merging with the template: %w", err)
	}
	return &out, nil
}
