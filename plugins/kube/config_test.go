package kube

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containerd/errdefs"

	"github.com/atom-router/atom-router/atom"
)

const kubeconfigText = `
apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "https://127.0.0.1:1"}}]
users: [{name: u, user: {token: t}}]
contexts: [{name: one, context: {cluster: c, user: u, namespace: ml}}, {name: two, context: {cluster: c, user: u}}]
current-context: one
`

func write(t testing.TB, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestNamespace(t *testing.T) {
	file := write(t, kubeconfigText)
	for want, c := range map[string]Config{
		"ml": {}, "default": {Context: "two"}, "mine": {Namespace: "mine"},
	} {
		c.Kubeconfig = file
		e, err := New(t.Context(), c, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer e.Close()
		if e.api.namespace != want {
			t.Errorf("%+v: namespace %s, want %s", c, e.api.namespace, want)
		}
	}
}

func TestConfigMistakes(t *testing.T) {
	good := write(t, kubeconfigText)
	half := int64(5)
	for name, c := range map[string]struct {
		config Config
		field  string
		says   string
	}{
		"no such kubeconfig":               {Config{Kubeconfig: "/no/such/file"}, "kubeconfig", "no such file"},
		"a kubeconfig that is a directory": {Config{Kubeconfig: t.TempDir()}, "kubeconfig", "directory"},
		"an empty kubeconfig":              {Config{Kubeconfig: write(t, "")}, "kubeconfig", "names no cluster"},
		"a kubeconfig of nonsense":         {Config{Kubeconfig: write(t, "a: [")}, "kubeconfig", "yaml"},
		"no current context":               {Config{Kubeconfig: write(t, strings.ReplaceAll(kubeconfigText, "current-context: one", ""))}, "context", "one, two"},
		"an unknown context":               {Config{Context: "thre"}, "context", "one, two"},
		"a context without cluster":        {Config{Kubeconfig: write(t, strings.ReplaceAll(kubeconfigText, "cluster: c, ", "cluster: d, "))}, "kubeconfig", "context one belongs to"},
		"not in a cluster":                 {Config{Kubeconfig: "-", InCluster: true}, "in_cluster", "leave one out"},
		"a namespace":                      {Config{Namespace: "Not_A_Label"}, "namespace", "lowercase"},
		"a service account":                {Config{ServiceAccount: "Mine!"}, "service_account", "lowercase"},
		"a secret":                         {Config{ImagePullSecrets: []string{"ok", "a/b"}}, "image_pull_secrets[1]", "a/b"},
		"a node selector":                  {Config{NodeSelector: map[string]string{"a b": "c"}}, `node_selector["a b"]`, "a b"},
		"a label's value":                  {Config{Labels: map[string]string{"a": "b c"}}, `labels["a"]`, "b c"},
		"a label of ours":                  {Config{Labels: map[string]string{atom.LabelOwner: "me"}}, `labels["` + atom.LabelOwner + `"]`, "reserved"},
		"an annotation":                    {Config{Annotations: map[string]string{"/x": ""}}, `annotations["/x"]`, "/x"},
		"an operator":                      {Config{Tolerations: []Toleration{{Key: "a", Operator: "Equals"}}}, "toleration[0].operator", "neither Equal nor Exists"},
		"a toleration of all":              {Config{Tolerations: []Toleration{{Operator: "Equal"}}}, "toleration[0].operator", "Exists"},
		"an effect":                        {Config{Tolerations: []Toleration{{Key: "a", Effect: "NoRun"}}}, "toleration[0].effect", "NoRun"},
		"seconds":                          {Config{Tolerations: []Toleration{{Key: "a", Effect: "NoSchedule", Seconds: &half}}}, "toleration[0].seconds", "NoExecute"},
		"a seccomp profile":                {Config{Seccomp: "localhost/../x"}, "seccomp", "RuntimeDefault"},
		"a capability":                     {Config{DropCapabilities: []string{"CAP_NET_RAW"}}, "drop_capabilities[0]", "NET_RAW"},
		"a duration":                       {Config{StopTimeout: "10"}, "stop_timeout", "duration"},
		"a duration of nothing":            {Config{PullTimeout: "0s"}, "pull_timeout", "above zero"},
		"a negative rate":                  {Config{QPS: -1}, "qps", "negative"},
		"a template of nonsense":           {Config{Template: "a: ["}, "template", "neither YAML nor JSON"},
		"a template that is a deployment":  {Config{Template: "kind: Deployment"}, "template", "Deployment"},
		"a template with a typo":           {Config{Template: "spec: {nodeSelektor: {}}"}, "template", "nodeSelektor"},
		"a template with a bad quantity":   {Config{Template: "spec: {containers: [{name: atom, resources: {limits: {cpu: lots}}}]}"}, "template", "quantit"},
		"a template that restarts":         {Config{Template: "spec: {restartPolicy: Always}"}, "template", "runs once"},
		"a template with the job":          {Config{Template: "spec: {containers: [{name: atom, image: x}]}"}, "template", "are the job's"},
		"a template with our label":        {Config{Template: "metadata: {labels: {" + atom.Label + ": x}}"}, "template", "reserved"},
	} {
		t.Run(name, func(t *testing.T) {
			if c.config.Kubeconfig == "" {
				c.config.Kubeconfig = good
			}
			_, err := New(t.Context(), c.config, nil)
			if !errdefs.IsInvalidArgument(err) {
				t.Fatalf("the error is %v", err)
			}
			for _, f := range atom.AsFieldErrors(err) {
				if f.Field == c.field && strings.Contains(f.Reason, c.says) {
					return
				}
			}
			t.Errorf("the error is %v; want field %s to say %q", err, c.field, c.says)
		})
	}
}

func TestAllMistakesAtOnce(t *testing.T) {
	_, err := New(t.Context(), Config{Namespace: "A", QPS: -1, Template: "x: y", StopTimeout: "z"}, nil)
	if n := len(atom.AsFieldErrors(err)); n != 4 {
		t.Errorf("%d mistakes were told, want 4: %v", n, err)
	}
}
