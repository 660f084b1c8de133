package kube

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/atom-router/atom-router/atom"
)

// Config is what an operator writes in a backend's config block. Its zero
// value is the current context of the machine's kubeconfig.
type Config struct {
	Kubeconfig string `hcl:"kubeconfig,optional" doc:"Kubeconfig file." default:"$KUBECONFIG, else ~/.kube/config, else the pod's own account"`
	Context    string `hcl:"context,optional" doc:"Context of the kubeconfig." default:"its current one"`
	InCluster  bool   `hcl:"in_cluster,optional" doc:"Use the account of the pod that this plugin runs in." default:"false"`
	Namespace  string `hcl:"namespace,optional" doc:"Namespace of the pods." default:"the context's, else default"`

	QPS   float64 `hcl:"qps,optional" doc:"Requests a second to the API server, on average." default:"100"`
	Burst int     `hcl:"burst,optional" doc:"Requests that may exceed qps at once." default:"200"`

	StartupTimeout string `hcl:"startup_timeout,optional" doc:"How long a pod may take to start; afterwards it counts as failed." default:"10m"`
	PullTimeout    string `hcl:"pull_timeout,optional" doc:"How long pulling the image may fail; afterwards the pod counts as failed." default:"2m"`
	StopTimeout    string `hcl:"stop_timeout,optional" doc:"Grace between SIGTERM and SIGKILL where neither the request nor the atom says; rounded up to seconds." default:"10s"`

	ServiceAccount   string            `hcl:"service_account,optional" doc:"Service account of the pods." default:"the namespace's default"`
	AutomountToken   bool              `hcl:"automount_token,optional" doc:"Whether pods get their service account's token." default:"false"`
	NodeSelector     map[string]string `hcl:"node_selector,optional" doc:"Labels that nodes must have."`
	Tolerations      []Toleration      `hcl:"toleration,block" doc:"A taint that pods tolerate."`
	ImagePullSecrets []string          `hcl:"image_pull_secrets,optional" doc:"Secrets with registry credentials."`
	RuntimeClass     string            `hcl:"runtime_class,optional" doc:"Runtime class of the pods." default:"the cluster's"`
	PriorityClass    string            `hcl:"priority_class,optional" doc:"Priority class of the pods." default:"the cluster's"`
	Labels           map[string]string `hcl:"labels,optional" doc:"Labels put on every pod beside the atom's own, which win."`
	Annotations      map[string]string `hcl:"annotations,optional" doc:"Annotations put on every pod."`
	GPUResource      string            `hcl:"gpu_resource,optional" doc:"Resource that stands for a GPU." default:"nvidia.com/gpu"`

	RunAsNonRoot     bool     `hcl:"run_as_non_root,optional" doc:"Refuse to run as root." default:"false"`
	Seccomp          string   `hcl:"seccomp,optional" doc:"RuntimeDefault, Unconfined, or localhost/PROFILE." default:"RuntimeDefault"`
	DropCapabilities []string `hcl:"drop_capabilities,optional" doc:"Linux capabilities taken away, or ALL." default:"none"`
	AllowHostPath    bool     `hcl:"allow_host_path,optional" doc:"Whether atoms may bind directories of their node. Whoever may do that can take the node over." default:"false"`

	Template string `hcl:"template,optional" doc:"A PodTemplateSpec in YAML or JSON that pods are built upon, for all that has no setting of its own. The container of the job is called atom."`
}

// Toleration is a taint that pods tolerate, in Kubernetes' own terms.
type Toleration struct {
	Key      string `hcl:"key,optional" doc:"Key of the taint; all of them if empty." default:"all"`
	Operator string `hcl:"operator,optional" doc:"Equal or Exists." default:"Equal"`
	Value    string `hcl:"value,optional" doc:"Value of the taint, for Equal."`
	Effect   string `hcl:"effect,optional" doc:"NoSchedule, PreferNoSchedule or NoExecute; all of them if empty." default:"all"`
	Seconds  *int64 `hcl:"seconds,optional" doc:"How long a NoExecute is tolerated." default:"for ever"`
}

const (
	defaultQPS            = 100
	defaultBurst          = 200
	defaultStartupTimeout = 10 * time.Minute
	defaultPullTimeout    = 2 * time.Minute
	defaultStopTimeout    = 10 * time.Second
	defaultGPUResource    = "nvidia.com/gpu"
)

// settings is a Config that was found valid, with its defaults filled in.
type settings struct {
	Config
	startup, pull, stop time.Duration
	seccomp             *corev1.SeccompProfile
	tolerations         []corev1.Toleration
	template            *corev1.PodTemplateSpec
}

// check gathers what is wrong with a config.
type check struct{ errs []error }

func (c *check) wrong(field, format string, args ...any) {
	c.errs = append(c.errs, &atom.FieldError{Field: field, Reason: fmt.Sprintf(format, args...)})
}

// all notes what Kubernetes' own rules say of a value.
func (c *check) all(field, value string, says []string) {
	for _, s := range says {
		c.wrong(field, "%q: %s", value, s)
	}
}

// settle checks c and fills in defaults. All mistakes come at once, each an
// *atom.FieldError.
func settle(c Config) (settings, error) {
	s := settings{Config: c}
	var k check
	s.startup = k.duration("startup_timeout", c.StartupTimeout, defaultStartupTimeout)
	s.pull = k.duration("pull_timeout", c.PullTimeout, defaultPullTimeout)
	s.stop = k.duration("stop_timeout", c.StopTimeout, defaultStopTimeout)
	if c.QPS < 0 || c.Burst < 0 {
		k.wrong("qps", "qps and burst are not negative")
	}
	if c.QPS == 0 {
		s.QPS = defaultQPS
	}
	if c.Burst == 0 {
		s.Burst = max(defaultBurst, int(2*s.QPS))
	}
	if s.GPUResource == "" {
		s.GPUResource = defaultGPUResource
	}
	k.all("gpu_resource", s.GPUResource, validation.IsQualifiedName(s.GPUResource))
	if c.InCluster && (c.Kubeconfig != "" || c.Context != "") {
		k.wrong("in_cluster", "in_cluster and a kubeconfig both name a cluster; leave one out")
	}
	if c.Namespace != "" {
		k.all("namespace", c.Namespace, validation.IsDNS1123Label(c.Namespace))
	}
	k.names(c)
	k.maps(c)
	for i, t := range c.Tolerations {
		s.tolerations = append(s.tolerations, k.toleration(fmt.Sprintf("toleration[%d]", i), t))
	}
	s.seccomp = k.seccomp(c.Seccomp)
	for i, name := range c.DropCapabilities {
		if name == "" || strings.HasPrefix(name, "CAP_") || strings.ToUpper(name) != name {
			k.wrong(fmt.Sprintf("drop_capabilities[%d]", i), "%q is no capability as Kubernetes writes them: NET_RAW, or ALL", name)
		}
	}
	var err error
	if s.template, err = parseTemplate(c.Template); err != nil {
		k.wrong("template", "%v", err)
	}
	return s, errors.Join(k.errs...)
}

func (k *check) duration(field, text string, fallback time.Duration) time.Duration {
	if text == "" {
		return fallback
	}
	d, err := time.ParseDuration(text)
	switch {
	case err != nil:
		k.wrong(field, "%q is not a duration; write one as in \"30s\" or \"2m\"", text)
	case d <= 0:
		k.wrong(field, "%s is not above zero", text)
	}
	return d
}

// names checks the names of other objects.
func (k *check) names(c Config) {
	for field, name := range map[string]string{
		"service_account": c.ServiceAccount, "runtime_class": c.RuntimeClass, "priority_class": c.PriorityClass,
	} {
		if name != "" {
			k.all(field, name, apivalidation.NameIsDNSSubdomain(name, false))
		}
	}
	for i, name := range c.ImagePullSecrets {
		k.all(fmt.Sprintf("image_pull_secrets[%d]", i), name, apivalidation.NameIsDNSSubdomain(name, false))
	}
}

// maps checks keys and values that go into an object's metadata.
func (k *check) maps(c Config) {
	for field, labels := range map[string]map[string]string{"labels": c.Labels, "node_selector": c.NodeSelector} {
		for _, key := range slices.Sorted(maps.Keys(labels)) {
			at := fmt.Sprintf("%s[%q]", field, key)
			k.all(at, key, validation.IsQualifiedName(key))
			k.all(at, labels[key], validation.IsValidLabelValue(labels[key]))
		}
	}
	for _, key := range slices.Sorted(maps.Keys(c.Annotations)) {
		k.all(fmt.Sprintf("annotations[%q]", key), key, validation.IsQualifiedName(strings.ToLower(key)))
	}
	for field, m := range map[string]map[string]string{"labels": c.Labels, "annotations": c.Annotations} {
		for _, key := range slices.Sorted(maps.Keys(m)) {
			if reserved(key) {
				k.wrong(fmt.Sprintf("%s[%q]", field, key), "what stands under %q is reserved", atom.Label)
			}
		}
	}
}

// reserved reports whether a label or annotation is one of ours.
func reserved(key string) bool {
	return key == atom.Label || strings.HasPrefix(key, atom.Label+".") || strings.HasPrefix(key, atom.Label+"/")
}

func (k *check) toleration(field string, t Toleration) corev1.Toleration {
	out := corev1.Toleration{
		Key: t.Key, Operator: corev1.TolerationOperator(t.Operator), Value: t.Value,
		Effect: corev1.TaintEffect(t.Effect), TolerationSeconds: t.Seconds,
	}
	if t.Key != "" {
		k.all(field+".key", t.Key, validation.IsQualifiedName(t.Key))
	}
	switch out.Operator {
	case "", corev1.TolerationOpEqual:
		if t.Key == "" {
			k.wrong(field+".operator", "without a key only Exists makes sense")
		}
		k.all(field+".value", t.Value, validation.IsValidLabelValue(t.Value))
	case corev1.TolerationOpExists:
		if t.Value != "" {
			k.wrong(field+".value", "Exists takes no value")
		}
	default:
		k.wrong(field+".operator", "%q is neither Equal nor Exists", t.Operator)
	}
	switch out.Effect {
	case "", corev1.TaintEffectNoSchedule, corev1.TaintEffectPreferNoSchedule, corev1.TaintEffectNoExecute:
	default:
		k.wrong(field+".effect", "%q is none of NoSchedule, PreferNoSchedule and NoExecute", t.Effect)
	}
	if t.Seconds != nil && out.Effect != corev1.TaintEffectNoExecute {
		k.wrong(field+".seconds", "goes with effect NoExecute only")
	}
	return out
}

func (k *check) seccomp(text string) *corev1.SeccompProfile {
	switch file, local := strings.CutPrefix(text, "localhost/"); {
	case text == "", text == "RuntimeDefault":
		return &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}
	case text == "Unconfined":
		return &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeUnconfined}
	case local && file != "" && !strings.HasPrefix(file, "/") && !strings.Contains(file, ".."):
		return &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeLocalhost, LocalhostProfile: &file}
	}
	k.wrong("seccomp", "%q is none of RuntimeDefault, Unconfined and localhost/PROFILE", text)
	return nil
}

// wholeSeconds rounds up: Kubernetes takes no fractions, and less than was
// asked for would be no grace.
func wholeSeconds(d time.Duration) int64 {
	return int64((d + time.Second - 1) / time.Second)
}
