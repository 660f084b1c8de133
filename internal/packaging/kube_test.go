package packaging

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/dynamic"

	"github.com/atom-router/atom-router/internal/testenv"
	"github.com/atom-router/atom-router/internal/testenv/kubespace"
)

// manifests are the objects that kustomization.yaml lists.
func manifests(t *testing.T) []*unstructured.Unstructured {
	t.Helper()
	dir := filepath.Join(root, "packaging/kubernetes")
	var list struct{ Resources []string }
	text, err := os.ReadFile(filepath.Join(dir, "kustomization.yaml"))
	if err == nil {
		err = yaml.Unmarshal(text, &list)
	}
	if err != nil {
		t.Fatal(err)
	}
	var all []*unstructured.Unstructured
	for _, name := range list.Resources {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		for docs := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(text), 4096); ; {
			one := &unstructured.Unstructured{}
			err := docs.Decode(one)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			all = append(all, one)
		}
	}
	return all
}

// apply makes the objects on the cluster; what the API server does not know of
// a field is an error.
func apply(t *testing.T, s *kubespace.Space, objects []*unstructured.Unstructured) {
	t.Helper()
	client, err := dynamic.NewForConfig(s.Config)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range objects {
		resource, _ := meta.UnsafeGuessKindToResource(o.GroupVersionKind())
		_, err := client.Resource(resource).Namespace(s.Name).Apply(t.Context(), o.GetName(), o, metav1.ApplyOptions{FieldManager: "packaging", Force: true})
		if err != nil {
			t.Fatalf("applying %s %s: %v", o.GetKind(), o.GetName(), err)
		}
	}
}

// TestKubernetes: the manifests as they are, on a real cluster. Both routers
// get ready, and a client outside sends jobs through them, which are pods that
// the service account made.
func TestKubernetes(t *testing.T) {
	needImage(t)
	s := kubespace.New(t, nil)
	archive := filepath.Join(t.TempDir(), "image.tar")
	docker(t, "save", "--output", archive, image)
	testenv.ImportImage(t, archive, "docker.io/"+image)

	ca := newAuthority(t)
	cert, key := ca.issue(t, "atom-router", x509.ExtKeyUsageServerAuth)
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "atom-router-tls"},
		Data:       map[string][]byte{"tls.crt": cert, "tls.key": key, "ca.crt": ca.pem},
	}
	if _, err := s.Admin.CoreV1().Secrets(s.Name).Create(t.Context(), secret, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	objects := manifests(t)
	for _, o := range objects {
		setImage(o)
	}
	apply(t, s, objects)
	pods := awaitRouters(t, s)

	one, other := newClient(t, ca, pods[0]), newClient(t, ca, pods[1])
	id := one.must(t, "create", testenv.KubeImage(t), "--", "print", "hello", ";", "exit", "7")
	made, err := s.Admin.CoreV1().Pods(s.Name).List(t.Context(), metav1.ListOptions{LabelSelector: "app.kubernetes.io/name!=atom-router"})
	if err != nil || len(made.Items) != 1 || !strings.Contains(id, made.Items[0].Name) {
		t.Errorf("the job %s is pods %v (%v)", id, made.Items, err)
	}
	// Any router with the same config serves it.
	if got, code := other.run(t, "wait", id); code != 7 {
		t.Errorf("wait ended with %d: %s", code, got)
	}
	if got := other.must(t, "logs", id); got != "hello" {
		t.Errorf("its output is %q, want hello", got)
	}
	one.must(t, "delete", id)
	s.Eventually(t, "the other router to hear of the delete by its own watch", func() error {
		if got := other.must(t, "list", "-o", "id"); got != "" {
			return fmt.Errorf("left: %s", got)
		}
		return nil
	})

	// That account it is which makes the pods, by the role alone.
	if err := s.Admin.RbacV1().RoleBindings(s.Name).Delete(t.Context(), "atom-router", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	account := "system:serviceaccount:" + s.Name + ":atom-router"
	s.Eventually(t, "a create to be refused without the role", func() error {
		got, code := one.run(t, "create", testenv.KubeImage(t), "--", "print", "hello")
		if code == 0 || !strings.Contains(got, account) {
			return fmt.Errorf("exit code %d: %s", code, got)
		}
		return nil
	})
}

// setImage has a Deployment use the image that was built.
func setImage(o *unstructured.Unstructured) {
	if o.GetKind() != "Deployment" {
		return
	}
	containers, _, _ := unstructured.NestedSlice(o.Object, "spec", "template", "spec", "containers")
	containers[0].(map[string]any)["image"] = "docker.io/" + image
	_ = unstructured.SetNestedSlice(o.Object, containers, "spec", "template", "spec", "containers")
}

// awaitRouters returns the addresses of the Deployment's two pods when they are
// ready.
func awaitRouters(t *testing.T, s *kubespace.Space) []string {
	t.Helper()
	var addresses []string
	s.Eventually(t, "the routers to be ready", func() error {
		d, err := s.Admin.AppsV1().Deployments(s.Name).Get(t.Context(), "atom-router", metav1.GetOptions{})
		if err != nil {
			return err
		}
		pods, err := s.Admin.CoreV1().Pods(s.Name).List(t.Context(), metav1.ListOptions{LabelSelector: metav1.FormatLabelSelector(d.Spec.Selector)})
		if err != nil {
			return err
		}
		if d.Status.ReadyReplicas != 2 {
			return fmt.Errorf("%s%s", conditions(d), states(t, s, pods.Items))
		}
		addresses = nil
		for _, p := range pods.Items {
			addresses = append(addresses, p.Status.PodIP+":7443")
		}
		return nil
	})
	return addresses
}

func conditions(d *appsv1.Deployment) string {
	text := ""
	for _, c := range d.Status.Conditions {
		text += fmt.Sprintf("%s %s: %s\n", c.Type, c.Status, c.Message)
	}
	return text
}

// states are the pods and what they wrote.
func states(t *testing.T, s *kubespace.Space, pods []corev1.Pod) string {
	text := ""
	for _, p := range pods {
		log, err := s.Admin.CoreV1().Pods(s.Name).GetLogs(p.Name, &corev1.PodLogOptions{}).DoRaw(t.Context())
		text += fmt.Sprintf("%s: %s\n%+v\n%s %v\n", p.Name, p.Status.Phase, p.Status.ContainerStatuses, log, err)
	}
	return text
}

// client is atom-router asking a daemon over TLS.
type client struct {
	program string
	flags   []string
}

func newClient(t *testing.T, ca *authority, address string) client {
	t.Helper()
	cert, key := ca.issue(t, "scheduler", x509.ExtKeyUsageClientAuth)
	return client{filepath.Join(build(t), "atom-router"), []string{
		"--address", address, "--tls-server-name", "atom-router",
		"--tls-cert", write(t, "cert", cert), "--tls-key", write(t, "key", key), "--tls-ca", write(t, "ca", ca.pem),
	}}
}

// run runs a verb and returns what it printed and its exit code.
func (c client) run(t *testing.T, args ...string) (string, int) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), c.program, append(c.flags[:len(c.flags):len(c.flags)], args...)...).CombinedOutput()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		return strings.TrimSpace(string(out)), exit.ExitCode()
	case err != nil:
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out)), 0
}

// must is run for what has to work.
func (c client) must(t *testing.T, args ...string) string {
	t.Helper()
	out, code := c.run(t, args...)
	if code != 0 {
		t.Fatalf("atom-router %s: exit code %d: %s", strings.Join(args, " "), code, out)
	}
	return out
}

// TestManifestsAgree: what one manifest takes from another is there.
func TestManifestsAgree(t *testing.T) {
	kinds := map[string]int{}
	labels := map[string]string{"app.kubernetes.io/name": "atom-router"}
	for _, o := range manifests(t) {
		kinds[o.GetKind()]++
		selector := map[string]map[string]string{}
		switch o.GetKind() {
		case "Deployment":
			selector["selector"], _, _ = unstructured.NestedStringMap(o.Object, "spec", "selector", "matchLabels")
			selector["pods"], _, _ = unstructured.NestedStringMap(o.Object, "spec", "template", "metadata", "labels")
		case "Service":
			selector["selector"], _, _ = unstructured.NestedStringMap(o.Object, "spec", "selector")
		case "NetworkPolicy":
			selector["selector"], _, _ = unstructured.NestedStringMap(o.Object, "spec", "podSelector", "matchLabels")
		}
		for what, got := range selector {
			if diff := cmp.Diff(labels, got); diff != "" {
				t.Errorf("%s of the %s (-want +got):\n%s", what, o.GetKind(), diff)
			}
		}
	}
	want := map[string]int{"ServiceAccount": 1, "Role": 1, "RoleBinding": 1, "ConfigMap": 1, "Deployment": 1, "Service": 1, "NetworkPolicy": 1}
	if diff := cmp.Diff(want, kinds); diff != "" {
		t.Errorf("kinds (-want +got):\n%s", diff)
	}
}
