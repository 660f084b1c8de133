package kube

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/atom/container"
)

func offline(t testing.TB, c Config) *Engine {
	t.Helper()
	c.Kubeconfig = write(t, kubeconfigText)
	e, err := New(t.Context(), c, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}

func TestPodFor(t *testing.T) {
	e := offline(t, Config{
		AllowHostPath: true, RuntimeClass: "gvisor", PriorityClass: "low", ServiceAccount: "runner",
		NodeSelector: map[string]string{"gpu": "yes"}, ImagePullSecrets: []string{"hub"}, DropCapabilities: []string{"ALL"},
		Tolerations: []Toleration{{Key: "gpu", Operator: "Exists"}},
		Labels:      map[string]string{"team": "backend", "tier": "jobs"}, Annotations: map[string]string{"example.com/x": "y"},
		Template: `
metadata: {labels: {from: template, tier: template}}
spec:
  hostNetwork: true
  volumes: [{name: extra, emptyDir: {}}]
  containers:
  - name: atom
    env: [{name: FROM, value: template}, {name: A, value: template}]
    resources: {requests: {cpu: 10m}}
  - {name: helper, image: helper:1}
`,
	})
	r := &atom.EngineCreateRequest{
		Name: "Nightly run!", Image: "alpine", Command: []string{"echo", "$(A) $$"}, Rule: "r", Owner: "me",
		Spec: container.Spec{
			Entrypoint: []string{"/bin/$x"}, Env: map[string]string{"A": "$(B)", "B": ""}, WorkDir: "/w", User: "7:8",
			Labels:    map[string]string{"team": "mine", "free text": "any value at all"},
			Resources: container.Resources{CPU: 0.0015, Memory: 64 << 20, GPUs: 2}, PullPolicy: container.PullNever,
			StopTimeout: 1100 * time.Millisecond,
			Mounts: []container.Mount{
				{Type: container.MountTypeBind, Source: "/data", Target: "/d", ReadOnly: true},
				{Type: container.MountTypeVolume, Source: "claim", Target: "/v"},
				{Type: container.MountTypeVolume, Source: "claim", Target: "/v2", ReadOnly: true},
				{Type: container.MountTypeTmpfs, Target: "/t"},
			},
		},
	}
	pod, err := e.podFor(r, "atom-x", noon)
	if err != nil {
		t.Fatal(err)
	}
	labels := map[string]string{"from": "template", "tier": "jobs", "team": "mine", atom.Label: "atom", atom.LabelOwner: "me"}
	if diff := cmp.Diff(labels, pod.Labels); diff != "" {
		t.Errorf("labels: -want +got\n%s", diff)
	}
	s := pod.Spec
	if !s.HostNetwork || *s.RuntimeClassName != "gvisor" || s.PriorityClassName != "low" || s.ServiceAccountName != "runner" ||
		s.NodeSelector["gpu"] != "yes" || s.ImagePullSecrets[0].Name != "hub" || len(s.Tolerations) != 1 ||
		*s.TerminationGracePeriodSeconds != 2 || s.RestartPolicy != corev1.RestartPolicyNever ||
		*s.AutomountServiceAccountToken || *s.EnableServiceLinks {
		t.Errorf("the spec is %+v", s)
	}
	if len(s.Containers) != 2 || s.Containers[0].Name != containerName {
		t.Fatalf("the containers are %+v", s.Containers)
	}
	c := s.Containers[0]
	var env []string
	for _, v := range c.Env {
		env = append(env, v.Name+"="+v.Value)
	}
	var mounts, volumes []string
	for _, m := range c.VolumeMounts {
		ro := ""
		if m.ReadOnly {
			ro = " ro"
		}
		mounts = append(mounts, m.Name+" "+m.MountPath+ro)
	}
	for _, v := range s.Volumes {
		volumes = append(volumes, v.Name)
	}
	for what, diff := range map[string]string{
		"command": cmp.Diff([]string{"/bin/$$x"}, c.Command),
		"args":    cmp.Diff([]string{"echo", "$$(A) $$$$"}, c.Args),
		"env":     cmp.Diff([]string{"FROM=template", "A=$$(B)", "B="}, env),
		"mounts":  cmp.Diff([]string{"atom-0 /d ro", "atom-1 /v", "atom-1 /v2 ro", "atom-3 /t"}, mounts),
		"volumes": cmp.Diff([]string{"atom-0", "atom-1", "atom-3", "extra"}, volumes),
	} {
		if diff != "" {
			t.Errorf("%s: -want +got\n%s", what, diff)
		}
	}
	limits := c.Resources.Limits
	if limits.Cpu().MilliValue() != 2 || limits.Memory().Value() != 64<<20 || c.Resources.Requests.Cpu().MilliValue() != 10 {
		t.Errorf("the resources are %+v", c.Resources)
	}
	if q := limits["nvidia.com/gpu"]; q.Value() != 2 {
		t.Errorf("the GPUs are %v", q)
	}
	if sc := c.SecurityContext; *sc.RunAsUser != 7 || *sc.RunAsGroup != 8 || sc.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault || sc.Capabilities.Drop[0] != "ALL" {
		t.Errorf("the security context is %+v", sc)
	}
	if c.ImagePullPolicy != corev1.PullNever || c.WorkingDir != "/w" {
		t.Errorf("the container is %+v", c)
	}
	info := e.settings.recordOf(pod).info
	if info.Name != "Nightly run!" || info.Image != "alpine" || info.Rule != "r" || info.Labels["free text"] != "any value at all" || len(info.Labels) != 2 || !info.CreatedAt.Equal(noon) {
		t.Errorf("read back it is %+v", info)
	}
}

func TestRequestsThatKubernetesCannotHonour(t *testing.T) {
	for field, change := range map[string]func(*atom.EngineCreateRequest){
		"image":                 func(r *atom.EngineCreateRequest) { r.Image = "Not/An Image:::" },
		"spec.user":             func(r *atom.EngineCreateRequest) { r.Spec.User = "nobody" },
		"spec.resources.memory": func(r *atom.EngineCreateRequest) { r.Spec.Resources.Memory = 1 },
		"spec.mounts[0].type": func(r *atom.EngineCreateRequest) {
			r.Spec.Mounts = []container.Mount{{Type: container.MountTypeBind, Source: "/", Target: "/x"}}
		},
		"spec.mounts[0].source": func(r *atom.EngineCreateRequest) {
			r.Spec.Mounts = []container.Mount{{Type: container.MountTypeVolume, Source: "My_Data", Target: "/x"}}
		},
	} {
		e := offline(t, Config{})
		r := &atom.EngineCreateRequest{Image: "x"}
		change(r)
		_, err := e.Create(r)
		found := atom.AsFieldErrors(err)
		if len(found) != 1 || found[0].Field != field || strings.TrimSpace(found[0].Reason) == "" {
			t.Errorf("%s: the error is %v", field, err)
		}
	}
}
