// Package kubespace gives tests namespaces on the test cluster, and accounts
// with no more rights in them than the Role that we ship.
package kubespace

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	authv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
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

	"github.com/atom-router/atom-router/internal/testenv"
)

// Space is a namespace of one test, and an account that may do in it what
// packaging/kubernetes/role.yaml says.
type Space struct {
	Name       string
	Kubeconfig string                // of the account
	Admin      *kubernetes.Clientset // who may do everything
	Config     *rest.Config          // the administrator's
}

// New makes a namespace on the test cluster. change, if not nil, changes
// the role.
func New(t testing.TB, change func(*rbacv1.Role)) *Space {
	t.Helper()
	return On(t, testenv.Kube(t), change)
}

// On is New on another cluster, whose administrator's kubeconfig it is given.
func On(t testing.TB, kubeconfig string, change func(*rbacv1.Role)) *Space {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	config.QPS, config.Burst = 1000, 2000
	s := &Space{Config: config}
	if s.Admin, err = kubernetes.NewForConfig(config); err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	ns, err := s.Admin.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "atom-test-"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	s.Name = ns.Name
	t.Cleanup(func() { s.remove(t) })
	s.applyRole(t, change)
	// Pods cannot be made before the namespace has its default account.
	s.Eventually(t, "a default service account", func() error {
		_, err := s.Admin.CoreV1().ServiceAccounts(s.Name).Get(ctx, "default", metav1.GetOptions{})
		return err
	})
	s.Kubeconfig = s.login(t)
	return s
}

// remove deletes the namespace with all that is in it. What is left in it by
// then is a defect of the test, or of the engine.
func (s *Space) remove(t testing.TB) {
	ctx := context.Background()
	pods, err := s.Admin.CoreV1().Pods(s.Name).List(ctx, metav1.ListOptions{})
	if err != nil {
		t.Error(err)
		return
	}
	now := int64(0)
	for _, p := range pods.Items {
		_, _ = s.Admin.CoreV1().Pods(s.Name).Patch(ctx, p.Name, types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`), metav1.PatchOptions{})
		_ = s.Admin.CoreV1().Pods(s.Name).Delete(ctx, p.Name, metav1.DeleteOptions{GracePeriodSeconds: &now})
	}
	if err := s.Admin.CoreV1().Namespaces().Delete(ctx, s.Name, metav1.DeleteOptions{}); err != nil {
		t.Error(err)
	}
}

// applyRole applies the role that we ship.
func (s *Space) applyRole(t testing.TB, change func(*rbacv1.Role)) {
	t.Helper()
	_, self, _, _ := runtime.Caller(0)
	text, err := os.ReadFile(filepath.Join(filepath.Dir(self), "../../../packaging/kubernetes/role.yaml"))
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
	binding.Subjects[0].Namespace = s.Name
	ctx := t.Context()
	_, err1 := s.Admin.CoreV1().ServiceAccounts(s.Name).Create(ctx, &account, metav1.CreateOptions{})
	_, err2 := s.Admin.RbacV1().Roles(s.Name).Create(ctx, &role, metav1.CreateOptions{})
	_, err3 := s.Admin.RbacV1().RoleBindings(s.Name).Create(ctx, &binding, metav1.CreateOptions{})
	if err := errors.Join(err1, err2, err3); err != nil {
		t.Fatal(err)
	}
}

// login writes a kubeconfig of the account.
func (s *Space) login(t testing.TB) string {
	t.Helper()
	token := s.Token(t)
	role, err := s.Admin.RbacV1().Roles(s.Name).Get(t.Context(), "atom-router", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, rule := range role.Rules {
		for _, verb := range rule.Verbs {
			s.Eventually(t, "the role to hold", func() error { return s.may(t.Context(), verb, rule.Resources[0]) })
		}
	}
	return s.Write(t, token, "account")
}

// may asks whether the account may do something.
func (s *Space) may(ctx context.Context, verb, resource string) error {
	resource, sub, _ := strings.Cut(resource, "/")
	review, err := s.Admin.AuthorizationV1().SubjectAccessReviews().Create(ctx, &authorizationv1.SubjectAccessReview{
		Spec: authorizationv1.SubjectAccessReviewSpec{
			User:               "system:serviceaccount:" + s.Name + ":atom-router",
			ResourceAttributes: &authorizationv1.ResourceAttributes{Namespace: s.Name, Verb: verb, Resource: resource, Subresource: sub},
		},
	}, metav1.CreateOptions{})
	if err == nil && !review.Status.Allowed {
		err = fmt.Errorf("the account may not %s %s", verb, resource)
	}
	return err
}

// Token is a new token of the account.
func (s *Space) Token(t testing.TB) string {
	t.Helper()
	var token string
	s.Eventually(t, "a token", func() error {
		r, err := s.Admin.CoreV1().ServiceAccounts(s.Name).CreateToken(t.Context(), "atom-router", &authv1.TokenRequest{}, metav1.CreateOptions{})
		if err == nil {
			token = r.Status.Token
		}
		return err
	})
	return token
}

// Write writes a kubeconfig with a token, in a file of that name.
func (s *Space) Write(t testing.TB, token, name string) string {
	t.Helper()
	c := clientcmdapi.NewConfig()
	c.Clusters["test"] = &clientcmdapi.Cluster{
		Server: s.Config.Host, TLSServerName: s.Config.ServerName,
		CertificateAuthority: s.Config.CAFile, CertificateAuthorityData: s.Config.CAData,
	}
	c.AuthInfos["atom-router"] = &clientcmdapi.AuthInfo{Token: token}
	c.Contexts["test"] = &clientcmdapi.Context{Cluster: "test", AuthInfo: "atom-router", Namespace: s.Name}
	c.CurrentContext = "test"
	path := filepath.Join(t.TempDir(), name)
	if err := clientcmd.WriteToFile(*c, path); err != nil {
		t.Fatal(err)
	}
	return path
}

// Through gives a kubeconfig with a token that leads to the cluster through a
// proxy.
func (s *Space) Through(t testing.TB, token string) (*testenv.Proxy, string) {
	t.Helper()
	at, err := url.Parse(s.Config.Host)
	if err != nil {
		t.Fatal(err)
	}
	p := testenv.StartProxy(t, "tcp", "127.0.0.1:0", at.Host)
	other := *s
	other.Config = rest.CopyConfig(s.Config)
	other.Config.Host = "https://" + p.Addr()
	other.Config.ServerName = "kubernetes.default.svc" // or client-go would share another's transport
	return p, other.Write(t, token, "proxy")
}

// Claim makes a volume of a directory of this machine and a claim of that
// name.
func (s *Space) Claim(t testing.TB, name string) {
	t.Helper()
	ctx := t.Context()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	size := corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}
	none := ""
	volume := &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: s.Name + "-" + name},
		Spec: corev1.PersistentVolumeSpec{
			Capacity: size, AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteMany},
			PersistentVolumeReclaimPolicy: corev1.PersistentVolumeReclaimRetain,
			PersistentVolumeSource:        corev1.PersistentVolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: dir}},
			ClaimRef:                      &corev1.ObjectReference{Namespace: s.Name, Name: name},
		},
	}
	if _, err := s.Admin.CoreV1().PersistentVolumes().Create(ctx, volume, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = s.Admin.CoreV1().PersistentVolumes().Delete(context.Background(), volume.Name, metav1.DeleteOptions{})
	})
	claim := &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: volume.Spec.AccessModes, StorageClassName: &none, VolumeName: volume.Name,
			Resources: corev1.VolumeResourceRequirements{Requests: size},
		},
	}
	if _, err := s.Admin.CoreV1().PersistentVolumeClaims(s.Name).Create(ctx, claim, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	s.Eventually(t, "a bound claim", func() error {
		c, err := s.Admin.CoreV1().PersistentVolumeClaims(s.Name).Get(ctx, name, metav1.GetOptions{})
		if err == nil && c.Status.Phase != corev1.ClaimBound {
			err = fmt.Errorf("it is %s", c.Status.Phase)
		}
		return err
	})
}

// Eventually waits until check has no more to say.
func (s *Space) Eventually(t testing.TB, what string, check func() error) {
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
