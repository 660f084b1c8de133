package kube

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	authv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/internal/testenv"
)

// space is a namespace of one test, and an account that may do in it what
// examples/kube-role.yaml says.
type space struct {
	name       string
	kubeconfig string // of the account
	admin      *kubernetes.Clientset
	config     *rest.Config // the administrator's
}

// newSpace makes a namespace on the test cluster. change, if not nil, changes
// the role.
func newSpace(t testing.TB, change func(*rbacv1.Role)) *space {
	t.Helper()
	return newSpaceOn(t, testenv.Kube(t), change)
}

func newSpaceOn(t testing.TB, kubeconfig string, change func(*rbacv1.Role)) *space {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	config.QPS, config.Burst = 1000, 2000
	s := &space{config: config}
	if s.admin, err = kubernetes.NewForConfig(config); err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	ns, err := s.admin.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "atom-test-"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	s.name = ns.Name
	t.Cleanup(func() { s.remove(t) })
	s.applyRole(t, change)
	// Pods cannot be made before the namespace has its default account.
	s.eventually(t, "a default service account", func() error {
		_, err := s.admin.CoreV1().ServiceAccounts(s.name).Get(ctx, "default", metav1.GetOptions{})
		return err
	})
	s.kubeconfig = s.login(t)
	return s
}

// remove deletes the namespace with all that is in it. What is left in it by
// then is a defect of the test, or of the engine.
func (s *space) remove(t testing.TB) {
	ctx := context.Background()
	pods, err := s.admin.CoreV1().Pods(s.name).List(ctx, metav1.ListOptions{})
	if err != nil {
		t.Error(err)
		return
	}
	now := int64(0)
	for _, p := range pods.Items {
		_, _ = s.admin.CoreV1().Pods(s.name).Patch(ctx, p.Name, types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`), metav1.PatchOptions{})
		_ = s.admin.CoreV1().Pods(s.name).Delete(ctx, p.Name, metav1.DeleteOptions{GracePeriodSeconds: &now})
	}
	if err := s.admin.CoreV1().Namespaces().Delete(ctx, s.name, metav1.DeleteOptions{}); err != nil {
		t.Error(err)
	}
}

// applyRole applies the role that we ship.
func (s *space) applyRole(t testing.TB, change func(*rbacv1.Role)) {
	t.Helper()
	text, err := os.ReadFile("../../examples/kube-role.yaml")
	if err != nil {
		t.Fatal(err)
	}
	docs := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(text), 4096)
	var account corev1.ServiceAccount
	var role rbacv1.Role
	var binding rbacv1.RoleBinding
	for _, into := range []any{&account, &role, &binding} {
		if err := docs.Decode(into); err != nil {
			t.Fatal(err)
		}
	}
	if err := docs.Decode(&struct{}{}); !errors.Is(err, io.EOF) {
		t.Fatalf("the role's file holds more than three objects: %v", err)
	}
	if change != nil {
		change(&role)
	}
	binding.Subjects[0].Namespace = s.name
	ctx := t.Context()
	_, err1 := s.admin.CoreV1().ServiceAccounts(s.name).Create(ctx, &account, metav1.CreateOptions{})
	_, err2 := s.admin.RbacV1().Roles(s.name).Create(ctx, &role, metav1.CreateOptions{})
	_, err3 := s.admin.RbacV1().RoleBindings(s.name).Create(ctx, &binding, metav1.CreateOptions{})
	if err := errors.Join(err1, err2, err3); err != nil {
		t.Fatal(err)
	}
}

// login writes a kubeconfig of the account.
func (s *space) login(t testing.TB) string {
	t.Helper()
	token := s.token(t)
	s.eventually(t, "the role to hold", func() error {
		c := rest.AnonymousClientConfig(s.config)
		c.BearerToken = token
		client, err := kubernetes.NewForConfig(c)
		if err != nil {
			return err
		}
		_, err = client.CoreV1().Pods(s.name).List(t.Context(), metav1.ListOptions{Limit: 1})
		return err
	})
	return s.write(t, token, "account")
}

func (s *space) token(t testing.TB) string {
	t.Helper()
	var token string
	s.eventually(t, "a token", func() error {
		r, err := s.admin.CoreV1().ServiceAccounts(s.name).CreateToken(t.Context(), "atom-router", &authv1.TokenRequest{}, metav1.CreateOptions{})
		if err == nil {
			token = r.Status.Token
		}
		return err
	})
	return token
}

func (s *space) write(t testing.TB, token, name string) string {
	t.Helper()
	c := clientcmdapi.NewConfig()
	c.Clusters["test"] = &clientcmdapi.Cluster{Server: s.config.Host, CertificateAuthority: s.config.CAFile, CertificateAuthorityData: s.config.CAData}
	c.AuthInfos["atom-router"] = &clientcmdapi.AuthInfo{Token: token}
	c.Contexts["test"] = &clientcmdapi.Context{Cluster: "test", AuthInfo: "atom-router", Namespace: s.name}
	c.CurrentContext = "test"
	path := filepath.Join(t.TempDir(), name)
	if err := clientcmd.WriteToFile(*c, path); err != nil {
		t.Fatal(err)
	}
	return path
}

// claim makes a volume of a directory of this machine and a claim of that
// name.
func (s *space) claim(t testing.TB, name string) {
	t.Helper()
	ctx := t.Context()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	size := corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}
	none := ""
	volume := &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: s.name + "-" + name},
		Spec: corev1.PersistentVolumeSpec{
			Capacity: size, AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteMany},
			PersistentVolumeReclaimPolicy: corev1.PersistentVolumeReclaimRetain,
			PersistentVolumeSource:        corev1.PersistentVolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: dir}},
			ClaimRef:                      &corev1.ObjectReference{Namespace: s.name, Name: name},
		},
	}
	if _, err := s.admin.CoreV1().PersistentVolumes().Create(ctx, volume, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = s.admin.CoreV1().PersistentVolumes().Delete(context.Background(), volume.Name, metav1.DeleteOptions{})
	})
	claim := &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: volume.Spec.AccessModes, StorageClassName: &none, VolumeName: volume.Name,
			Resources: corev1.VolumeResourceRequirements{Requests: size},
		},
	}
	if _, err := s.admin.CoreV1().PersistentVolumeClaims(s.name).Create(ctx, claim, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	s.eventually(t, "a bound claim", func() error {
		c, err := s.admin.CoreV1().PersistentVolumeClaims(s.name).Get(ctx, name, metav1.GetOptions{})
		if err == nil && c.Status.Phase != corev1.ClaimBound {
			err = fmt.Errorf("it is %s", c.Status.Phase)
		}
		return err
	})
}

func (s *space) eventually(t testing.TB, what string, check func() error) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) || t.Context().Err() != nil {
			t.Fatalf("waiting for %s: %v", what, err)
		}
	}
}

// engine is one on this namespace, with the account's rights.
func (s *space) engine(t testing.TB, c Config) *Engine {
	t.Helper()
	c.Kubeconfig = s.kubeconfig
	e, err := New(t.Context(), c, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}

// pod is an atom's, as the administrator sees it.
func (s *space) pod(t testing.TB, a atom.Atom) *corev1.Pod {
	t.Helper()
	p, err := s.admin.CoreV1().Pods(s.name).Get(t.Context(), nameOf(t, a.ID()), metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func nameOf(t testing.TB, id string) string {
	t.Helper()
	parts := strings.Split(id, "/")
	if len(parts) != 3 {
		t.Fatalf("the ID is %q", id)
	}
	return parts[1]
}
