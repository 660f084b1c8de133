package realtest

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/atom/container"
	"github.com/atom-router/atom-router/internal/testenv"
	"github.com/atom-router/atom-router/internal/testenv/kubespace"
	"github.com/atom-router/atom-router/plugins/kube"
)

// request runs steps of the probe.
func request(t testing.TB, steps ...string) *atom.EngineCreateRequest {
	return &atom.EngineCreateRequest{Image: testenv.KubeImage(t), Command: steps, Context: t.Context()}
}

func create(t testing.TB, e *kube.Engine, r *atom.EngineCreateRequest) atom.Atom {
	t.Helper()
	a, err := e.Create(r)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func waited(t testing.TB, e *kube.Engine, id string) atom.Info {
	t.Helper()
	a, err := e.Wait(&atom.EngineWaitRequest{ID: id, Context: t.Context()})
	if err != nil {
		t.Errorf("waiting for %s: %v", id, err)
		return atom.Info{}
	}
	return atom.InfoOf(a)
}

func output(t testing.TB, e *kube.Engine, id string) string {
	t.Helper()
	r, err := e.Logs(&atom.EngineLogsRequest{ID: id, Context: t.Context()})
	if err != nil {
		t.Error(err)
		return ""
	}
	return textOf(t, r)
}

func textOf(t testing.TB, r io.ReadCloser) string {
	t.Helper()
	defer r.Close()
	text, err := io.ReadAll(r)
	if err != nil {
		t.Errorf("reading the log, after %d bytes that end with %q: %v", len(text), text[max(0, len(text)-100):], err)
	}
	return string(text)
}

// running waits until an atom runs, or has run.
func running(t testing.TB, s space, e *kube.Engine, id string) {
	t.Helper()
	s.Eventually(t, "the atom to run", func() error {
		a, err := e.Get(&atom.EngineGetRequest{ID: id, Context: t.Context()})
		if err == nil && a.State() != atom.Running && !a.State().Done() {
			err = errors.New(string(a.State()))
		}
		return err
	})
}

// What the config says of pods, the cluster sees, and runs.
func TestConfigOnTheCluster(t *testing.T) {
	s := newSpace(t)
	ctx := t.Context()
	class, err := s.Admin.SchedulingV1().PriorityClasses().Create(ctx, &schedulingv1.PriorityClass{ObjectMeta: metav1.ObjectMeta{GenerateName: "atom-"}, Value: 7}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Admin.SchedulingV1().PriorityClasses().Delete(context.Background(), class.Name, metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
	})
	half := int64(30)
	e := s.engine(t, kube.Config{
		ServiceAccount: "atom-router", AutomountToken: true, PriorityClass: class.Name,
		NodeSelector: map[string]string{"kubernetes.io/os": "linux"},
		Tolerations:  []kube.Toleration{{Key: "gpu", Operator: "Exists", Effect: "NoExecute", Seconds: &half}},
		Labels:       map[string]string{"team": "backend"}, Annotations: map[string]string{"example.com/note": "free text"},
		ImagePullSecrets: []string{"hub"}, RunAsNonRoot: true, DropCapabilities: []string{"ALL"}, StopTimeout: "3s",
		Template: "spec: {hostNetwork: true, containers: [{name: atom, env: [{name: POD, valueFrom: {fieldRef: {fieldPath: metadata.name}}}]}]}",
	})
	r := request(t, "info", ";", "cat", "/var/run/secrets/kubernetes.io/serviceaccount/namespace")
	r.Spec.User = "1000"
	var a atom.Atom
	s.Eventually(t, "admission to know the priority class", func() (err error) {
		if a, err = e.Create(r); errdefs.IsPermissionDenied(err) && strings.Contains(err.Error(), class.Name) {
			return err
		}
		if err != nil {
			t.Fatal(err)
		}
		return nil
	})
	if info := waited(t, e, a.ID()); info.Result != atom.Success {
		t.Fatalf("it ended as %s: %s", info.Result, info.Message)
	}
	p := s.pod(t, a.ID())
	if out := output(t, e, a.ID()); !strings.HasSuffix(out, s.Name) || !strings.Contains(out, `"POD":"`+p.Name+`"`) {
		t.Errorf("it wrote %s", out)
	}
	if p.Spec.ServiceAccountName != "atom-router" || *p.Spec.Priority != 7 || !p.Spec.HostNetwork || p.Labels["team"] != "backend" ||
		p.Annotations["example.com/note"] != "free text" || p.Spec.ImagePullSecrets[0].Name != "hub" || *p.Spec.TerminationGracePeriodSeconds != 3 ||
		p.Spec.NodeSelector["kubernetes.io/os"] != "linux" || !*p.Spec.Containers[0].SecurityContext.RunAsNonRoot {
		t.Errorf("the pod is %+v", p.Spec)
	}
	found := false
	for _, tol := range p.Spec.Tolerations {
		found = found || tol.Key == "gpu" && tol.Effect == corev1.TaintEffectNoExecute && *tol.TolerationSeconds == 30
	}
	if !found {
		t.Errorf("the tolerations are %+v", p.Spec.Tolerations)
	}

	// Root is refused before anything is created, or by the kubelet where
	// only the image says so.
	r = request(t, "exit", "0")
	r.Spec.User = "0"
	if _, err := e.Create(r); !errdefs.IsInvalidArgument(err) {
		t.Errorf("root under run_as_non_root: %v", err)
	}
	a = create(t, e, request(t, "exit", "0"))
	if info := waited(t, e, a.ID()); info.Result != atom.StartupFailure || !strings.Contains(info.Message, "CreateContainerConfigError") {
		t.Errorf("an image that runs as root under run_as_non_root: %s, %s", info.Result, info.Message)
	}
}

// A runtime class is the pod's; one that the cluster does not have is refused
// at once.
func TestRuntimeClass(t *testing.T) {
	s := newSpace(t)
	_, err := s.engine(t, kube.Config{RuntimeClass: "no-such-class"}).Create(request(t, "exit", "0"))
	if err == nil || !strings.Contains(err.Error(), "no-such-class") {
		t.Errorf("the error is %v", err)
	}
	nothingLeft(t, s)
	class, err := s.Admin.NodeV1().RuntimeClasses().Create(t.Context(), &nodev1.RuntimeClass{ObjectMeta: metav1.ObjectMeta{GenerateName: "atom-"}, Handler: "runc"}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Admin.NodeV1().RuntimeClasses().Delete(context.Background(), class.Name, metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
	})
	e := s.engine(t, kube.Config{RuntimeClass: class.Name})
	s.Eventually(t, "the class to be known", func() error { // to the admission's cache
		a, err := e.Create(request(t, "exit", "0"))
		if err == nil && waited(t, e, a.ID()).Result != atom.Success {
			err = errors.New(a.ID() + " did not succeed")
		}
		return err
	})
}

// What the kernel says of the job is what the config asked for.
func TestSecurity(t *testing.T) {
	s := newSpace(t)
	for name, c := range map[string]struct {
		config  kube.Config
		seccomp string
		none    bool // capabilities
	}{
		"by default":   {kube.Config{}, "2", false},
		"unconfined":   {kube.Config{Seccomp: "Unconfined"}, "0", false},
		"all dropped":  {kube.Config{DropCapabilities: []string{"ALL"}}, "2", true},
		"one dropped":  {kube.Config{DropCapabilities: []string{"NET_RAW"}}, "2", false},
		"with a token": {kube.Config{AutomountToken: true}, "2", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := s.engine(t, c.config)
			a := create(t, e, request(t, "cat", "/proc/self/status"))
			if info := waited(t, e, a.ID()); info.Result != atom.Success {
				t.Fatalf("it ended as %s: %s", info.Result, info.Message)
			}
			status := output(t, e, a.ID())
			if got := statusField(status, "Seccomp"); got != c.seccomp {
				t.Errorf("Seccomp is %q, want %q", got, c.seccomp)
			}
			caps, err := strconv.ParseUint(statusField(status, "CapEff"), 16, 64)
			const netRaw = 13 // linux/capability.h
			if err != nil || (caps == 0) != c.none || name == "one dropped" && caps&(1<<netRaw) != 0 {
				t.Errorf("CapEff is %x, %v", caps, err)
			}
			a = create(t, e, request(t, "cat", "/var/run/secrets/kubernetes.io/serviceaccount/token"))
			if info := waited(t, e, a.ID()); (info.Result == atom.Success) != c.config.AutomountToken {
				t.Errorf("reading the account's token is a %s", info.Result)
			}
		})
	}
}

func statusField(status, name string) string {
	_, rest, _ := strings.Cut(status, "\n"+name+":")
	value, _, _ := strings.Cut(rest, "\n")
	return strings.TrimSpace(value)
}

// qps and burst hold.
func TestQPS(t *testing.T) {
	s := newSpace(t)
	e := s.engine(t, kube.Config{QPS: 4, Burst: 1})
	began := time.Now()
	for range 5 {
		if _, err := e.Lookup(&atom.EngineLookupRequest{Key: "none", Context: t.Context()}); !errdefs.IsNotFound(err) {
			t.Fatal(err)
		}
	}
	if took := time.Since(began); took < time.Second {
		t.Errorf("five requests at four a second, after a burst of one, took %v", took)
	}
}

// A router that runs in a pod reaches the cluster by its service account.
func TestInCluster(t *testing.T) {
	s := newSpace(t)
	at, err := url.Parse(s.Config.Host)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, pkg := range []string{"../../../cmd/atom-router", "../atom-plugin-kube"} {
		build := exec.Command("go", "build", "-o", dir+"/", pkg)
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if text, err := build.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
	}
	config := "backend \"kube\" {\n plugin = \"kube\"\n config { in_cluster = true }\n}\ndefault { backend = \"kube\" }\n"
	if err := os.WriteFile(filepath.Join(dir, "atom-router.hcl"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	// The cluster of the tests has no proxy for its services.
	e := s.engine(t, kube.Config{
		ServiceAccount: "atom-router", AutomountToken: true, AllowHostPath: true,
		Template: fmt.Sprintf("spec: {hostNetwork: true, containers: [{name: atom, env: [{name: KUBERNETES_SERVICE_HOST, value: %q}, {name: KUBERNETES_SERVICE_PORT, value: %q}]}]}", at.Hostname(), at.Port()),
	})
	r := request(t, "run", testenv.KubeImage(t), "--", "print", "from within", ";", "exit", "7")
	r.Spec.Entrypoint = []string{"/host/atom-router"}
	r.Spec.Mounts = []container.Mount{{Type: container.MountTypeBind, Source: dir, Target: "/host", ReadOnly: true}}
	r.Spec.Env = map[string]string{"ATOM_ROUTER_CONFIG": "/host/atom-router.hcl", "TMPDIR": "/dev/shm"}
	a := create(t, e, r)
	info := waited(t, e, a.ID())
	if out := output(t, e, a.ID()); info.ExitCode == nil || *info.ExitCode != 7 || out != "from within\n" {
		t.Errorf("the router in the pod ended as %s (%s) and wrote %q", info.Result, info.Message, out)
	}
}

func nothingLeft(t testing.TB, s space) {
	t.Helper()
	pods, err := s.Admin.CoreV1().Pods(s.Name).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range pods.Items {
		t.Errorf("pod %s is left", p.Name)
	}
}

// Every verb of the role is needed: without it a call fails, and says so.
func TestEachVerbIsNeeded(t *testing.T) {
	for _, c := range []struct {
		resource, verb string
		use            func(*kube.Engine, *atom.EngineCreateRequest) error
	}{
		{"pods", "create", func(e *kube.Engine, r *atom.EngineCreateRequest) error { _, err := e.Create(r); return err }},
		{"pods", "get", func(e *kube.Engine, r *atom.EngineCreateRequest) error {
			a, err := e.Create(r)
			if err == nil {
				_, err = e.Get(&atom.EngineGetRequest{ID: a.ID()})
			}
			return err
		}},
		{"pods", "list", func(e *kube.Engine, r *atom.EngineCreateRequest) error {
			_, err := e.List(&atom.EngineListRequest{Context: r.Context})
			return err
		}},
		{"pods", "patch", func(e *kube.Engine, r *atom.EngineCreateRequest) error {
			a, err := e.Create(r)
			if err == nil {
				err = e.Stop(&atom.EngineStopRequest{ID: a.ID(), Force: true, Context: r.Context})
			}
			return err
		}},
		{"pods", "delete", func(e *kube.Engine, r *atom.EngineCreateRequest) error {
			a, err := e.Create(r)
			if err == nil {
				err = e.Delete(&atom.EngineDeleteRequest{ID: a.ID(), Force: true, Context: r.Context})
			}
			return err
		}},
		{"pods/log", "get", func(e *kube.Engine, r *atom.EngineCreateRequest) error {
			r.Command = []string{"exit", "0"}
			a, err := e.Create(r)
			if err != nil {
				return err
			}
			if _, err = e.Wait(&atom.EngineWaitRequest{ID: a.ID(), Context: r.Context}); err != nil {
				return err
			}
			logs, err := e.Logs(&atom.EngineLogsRequest{ID: a.ID(), Context: r.Context})
			if err != nil {
				return err
			}
			_, err = io.ReadAll(logs)
			return errors.Join(err, logs.Close())
		}},
	} {
		t.Run(c.verb+" "+c.resource, func(t *testing.T) {
			t.Parallel()
			s := space{kubespace.New(t, without1(c.resource, c.verb))}
			err := c.use(s.engine(t, kube.Config{}), request(t, "sleep", "10m"))
			if !errdefs.IsPermissionDenied(err) || !strings.Contains(err.Error(), c.verb) {
				t.Errorf("without it the error is %v", err)
			}
		})
	}
	// Without watch all works, by listing again and again.
	t.Run("watch pods", func(t *testing.T) {
		t.Parallel()
		s := space{kubespace.New(t, without1("pods", "watch"))}
		e := s.engine(t, kube.Config{})
		a := create(t, e, request(t, "sleep", "3s", ";", "exit", "4"))
		if info := waited(t, e, a.ID()); info.Result != atom.Failure {
			t.Errorf("it ended as %s", info.Result)
		}
	})
}

// without1 takes one verb from a role.
func without1(resource, verb string) func(*rbacv1.Role) {
	return func(r *rbacv1.Role) {
		for i, rule := range r.Rules {
			if rule.Resources[0] != resource {
				continue
			}
			r.Rules[i].Verbs = nil
			for _, v := range rule.Verbs {
				if v != verb {
					r.Rules[i].Verbs = append(r.Rules[i].Verbs, v)
				}
			}
			if len(r.Rules[i].Verbs) == 0 {
				r.Rules = append(r.Rules[:i], r.Rules[i+1:]...)
			}
			return
		}
	}
}

// Credentials, certificates and names that are wrong are told apart from a
// cluster that is away.
func TestWrongClusters(t *testing.T) {
	s := newSpace(t)
	for name, c := range map[string]struct {
		config kube.Config
		class  func(error) bool
		says   string
	}{
		"bad credentials": {kube.Config{Kubeconfig: s.Write(t, "no-such-token", "bad")}, errdefs.IsPermissionDenied, "credentials"},
		"no credentials":  {kube.Config{Kubeconfig: s.Write(t, "", "none")}, errdefs.IsPermissionDenied, "anonymous"},
		"no such namespace": {kube.Config{Kubeconfig: testenv.Kube(t), Namespace: "no-such-namespace"},
			errdefs.IsFailedPrecondition, "no-such-namespace does not exist"},
		"another namespace": {kube.Config{Namespace: "kube-system"}, errdefs.IsPermissionDenied, "kube-system"},
		"another authority": {kube.Config{Kubeconfig: wrongAuthority(t, s)}, errdefs.IsUnavailable, "certificate"},
		"nobody there":      {kube.Config{Kubeconfig: nobody(t, s)}, errdefs.IsUnavailable, "127.0.0.1:1"},
	} {
		t.Run(name, func(t *testing.T) {
			e := s.engine(t, c.config)
			_, probeErr := e.Probe(t.Context())
			r := request(t, "exit", "0")
			r.Key = "k"
			_, createErr := e.Create(r)
			for what, err := range map[string]error{"probe": probeErr, "create": createErr} {
				var unknown *atom.OutcomeUnknown
				if !c.class(err) || !strings.Contains(err.Error(), c.says) || errors.As(err, &unknown) {
					t.Errorf("%s: %v", what, err)
				}
			}
		})
	}
	nothingLeft(t, s)
}

func nobody(t testing.TB, s space) string {
	other := *s.Space
	other.Config = rest.CopyConfig(s.Config)
	other.Config.Host = "https://127.0.0.1:1"
	return other.Write(t, "token", "nobody")
}

func wrongAuthority(t testing.TB, s space) string {
	t.Helper()
	config := *s.Config
	config.CAFile, config.CAData = "", otherAuthority(t)
	other := *s.Space
	other.Config = &config
	return other.Write(t, "token", "other")
}

// otherAuthority is the certificate of one that signed nothing here.
func otherAuthority(t testing.TB) []byte {
	t.Helper()
	server := httptest.NewTLSServer(nil)
	defer server.Close()
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
}

// What the cluster refuses is an error with its reason, and leaves nothing.
func TestRefusedCreates(t *testing.T) {
	s := newSpace(t)
	ctx := t.Context()
	e := s.engine(t, kube.Config{AllowHostPath: true})
	before := request(t, "exit", "0")
	before.Key = "before"
	made := create(t, e, before)
	_, err := s.Admin.CoreV1().ResourceQuotas(s.Name).Create(ctx, &corev1.ResourceQuota{
		ObjectMeta: metav1.ObjectMeta{Name: "one"},
		Spec:       corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{"pods": resource.MustParse("0")}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	s.Eventually(t, "the quota to hold", func() error {
		a, err := e.Create(request(t, "exit", "0"))
		switch {
		case errdefs.IsResourceExhausted(err):
			return nil
		case err == nil:
			err = e.Delete(&atom.EngineDeleteRequest{ID: a.ID(), Force: true, Context: ctx})
			return errors.Join(errors.New("it was created"), err)
		}
		return err
	})
	// What was made when there was room is found, by an engine too that knows
	// nothing of it; it is another request that is refused.
	other := s.engine(t, kube.Config{})
	if again, err := other.Create(before); err != nil || again.ID() != made.ID() {
		t.Errorf("the same Create gives %v, %v", again, err)
	}
	before.Command = []string{"exit", "1"}
	if _, err := other.Create(before); !errdefs.IsAlreadyExists(err) {
		t.Errorf("another one under its key: %v", err)
	}
	if err := e.Delete(&atom.EngineDeleteRequest{ID: made.ID(), Force: true, Context: ctx}); err != nil {
		t.Error(err)
	}
	if _, err := e.Probe(ctx); err != nil {
		t.Errorf("a full quota is no reason to call the backend unavailable: %v", err)
	}
	if err := s.Admin.CoreV1().ResourceQuotas(s.Name).Delete(ctx, "one", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	r := request(t, "exit", "0")
	r.Spec.Labels = map[string]string{"long": strings.Repeat("x", 300<<10)}
	_, err = e.Create(r)
	fields := atom.AsFieldErrors(err)
	if len(fields) != 1 || fields[0].Field != "spec.labels" || !strings.Contains(fields[0].Reason, "metadata.annotations") {
		t.Errorf("what Kubernetes itself refuses gives %v", err)
	}
	if _, err := s.Admin.CoreV1().Namespaces().Patch(ctx, s.Name, types.MergePatchType,
		[]byte(`{"metadata":{"labels":{"pod-security.kubernetes.io/enforce":"restricted"}}}`), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	s.Eventually(t, "admission to object", func() error {
		a, err := e.Create(request(t, "exit", "0"))
		switch {
		case errdefs.IsFailedPrecondition(err) && strings.Contains(err.Error(), "PodSecurity"):
			return nil
		case err == nil:
			err = e.Delete(&atom.EngineDeleteRequest{ID: a.ID(), Force: true, Context: ctx})
			return errors.Join(errors.New("it was created"), err)
		}
		return err
	})
	nothingLeft(t, s)
}

// A pod that somebody else deletes ends Wait and Logs, and neither tells of a
// success.
func TestDeletedBySomebodyElse(t *testing.T) {
	s := newSpace(t)
	e := s.engine(t, kube.Config{})
	a := create(t, e, request(t, "trap", "3", ";", "print", "ready", ";", "sleep", "10m"))
	running(t, s, e, a.ID())
	answer := make(chan atom.Info, 1)
	go func() { answer <- waited(t, e, a.ID()) }()
	logs, err := e.Logs(&atom.EngineLogsRequest{ID: a.ID(), Context: t.Context()})
	if err != nil {
		t.Fatal(err)
	}
	defer logs.Close()
	now := int64(0)
	if err := s.Admin.CoreV1().Pods(s.Name).Delete(t.Context(), nameOf(t, a.ID()), metav1.DeleteOptions{GracePeriodSeconds: &now}); err != nil {
		t.Fatal(err)
	}
	if info := <-answer; info.State != atom.Deleted || info.Result != atom.Unknown {
		t.Errorf("wait says %s/%s", info.State, info.Result)
	}
	if text, err := io.ReadAll(logs); !errdefs.IsNotFound(err) {
		t.Errorf("the log ended with %v after %q", err, text)
	}
	if _, err := e.Get(&atom.EngineGetRequest{ID: a.ID()}); !errdefs.IsNotFound(err) {
		t.Errorf("get says %v", err)
	}
}

func TestEvicted(t *testing.T) {
	s := newSpace(t)
	e := s.engine(t, kube.Config{})
	a := create(t, e, request(t, "trap", "0", ";", "print", "ready", ";", "sleep", "10m"))
	logs, err := e.Logs(&atom.EngineLogsRequest{ID: a.ID(), Context: t.Context()})
	if err != nil {
		t.Fatal(err)
	}
	defer logs.Close()
	if _, err := io.ReadFull(logs, make([]byte, len("ready\n"))); err != nil { // from then on SIGTERM is its own to take
		t.Fatal(err)
	}
	if err := s.Admin.PolicyV1().Evictions(s.Name).Evict(t.Context(), &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Namespace: s.Name, Name: nameOf(t, a.ID())}}); err != nil {
		t.Fatal(err)
	}
	info := waited(t, e, a.ID())
	if info.Result != atom.ResourceFailure || info.ExitCode == nil || *info.ExitCode != 0 {
		t.Errorf("an evicted pod that exits cleanly is %s, code %v", info.Result, info.ExitCode)
	}
}

// What never starts is an atom that says so, keeps saying so, and can be
// deleted.
func TestNeverStarts(t *testing.T) {
	s := newSpace(t)
	for name, c := range map[string]struct {
		change func(*atom.EngineCreateRequest)
		config kube.Config
		result atom.Result
		says   string
	}{
		"an image that cannot be pulled": {func(r *atom.EngineCreateRequest) { r.Image = "127.0.0.1:1/x:1" }, kube.Config{PullTimeout: "1s"}, atom.StartupFailure, "127.0.0.1:1"},
		"unschedulable":                  {func(r *atom.EngineCreateRequest) { r.Spec.Resources.GPUs = 1 }, kube.Config{StartupTimeout: "15s"}, atom.ResourceFailure, "Unschedulable"},
		"a claim that is not there": {func(r *atom.EngineCreateRequest) {
			r.Spec.Mounts = []container.Mount{{Type: container.MountTypeVolume, Source: "absent", Target: "/v"}}
		}, kube.Config{StartupTimeout: "15s"}, atom.ResourceFailure, "absent"},
		"a secret that is not there": {func(*atom.EngineCreateRequest) {}, kube.Config{
			Template: "spec: {containers: [{name: atom, envFrom: [{secretRef: {name: absent}}]}]}",
		}, atom.StartupFailure, "absent"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := s.engine(t, c.config)
			r := request(t, "exit", "0")
			r.Key = name
			c.change(r)
			a := create(t, e, r)
			info := waited(t, e, a.ID())
			if info.State != atom.Stopped || info.Result != c.result || !strings.Contains(info.Message, c.says) || info.ExitCode != nil || !info.StartedAt.IsZero() {
				t.Errorf("it is %s/%s: %s", info.State, info.Result, info.Message)
			}
			if out := output(t, e, a.ID()); out != "" {
				t.Errorf("its log is %q", out)
			}
			// Another router sees the same, and the key leads to it.
			other := s.engine(t, c.config)
			if again := create(t, other, r); again.ID() != a.ID() || again.Result() != c.result {
				t.Errorf("the same key gives %s, %s", again.ID(), again.Result())
			}
			if err := e.Delete(&atom.EngineDeleteRequest{ID: a.ID(), Context: t.Context()}); err != nil {
				t.Error(err)
			}
			if _, err := other.Get(&atom.EngineGetRequest{ID: a.ID()}); !errdefs.IsNotFound(err) {
				t.Errorf("afterwards get says %v", err)
			}
		})
	}
}

// A Stop of a pod that no node has taken ends it, and it stays.
func TestStopBeforeTheStart(t *testing.T) {
	s := newSpace(t)
	e := s.engine(t, kube.Config{})
	r := request(t, "exit", "0")
	r.Spec.Resources.GPUs = 1
	a := create(t, e, r)
	if err := e.Stop(&atom.EngineStopRequest{ID: a.ID(), Context: t.Context()}); err != nil {
		t.Fatal(err)
	}
	if info := waited(t, e, a.ID()); info.State != atom.Stopped || info.Result != atom.Killed {
		t.Errorf("it is %s/%s", info.State, info.Result)
	}
	if err := e.Delete(&atom.EngineDeleteRequest{ID: a.ID(), Context: t.Context()}); err != nil {
		t.Error(err)
	}
	nothingLeft(t, s)
}

// A sidecar that never ends does not keep the atom from ending, nor the node
// busy for ever; the atom's result and log stay.
func TestSidecarThatNeverEnds(t *testing.T) {
	s := newSpace(t)
	e := s.engine(t, kube.Config{Template: "spec: {containers: [{name: sidecar, image: " + testenv.KubeImage(t) + ", imagePullPolicy: Never, args: [sleep, 24h]}]}"})
	a := create(t, e, request(t, "print", "done", ";", "exit", "3"))
	if info := waited(t, e, a.ID()); info.Result != atom.Failure || *info.ExitCode != 3 {
		t.Fatalf("it ended as %s", info.Result)
	}
	if out := output(t, e, a.ID()); out != "done\n" {
		t.Errorf("its log is %q", out)
	}
	s.Eventually(t, "the sidecar to be ended", func() error {
		if phase := s.pod(t, a.ID()).Status.Phase; phase != corev1.PodFailed && phase != corev1.PodSucceeded {
			return errors.New(string(phase))
		}
		return nil
	})
	got, err := e.Get(&atom.EngineGetRequest{ID: a.ID()})
	if err != nil || got.Result() != atom.Failure || *atom.InfoOf(got).ExitCode != 3 {
		t.Errorf("afterwards it is %v, %v", got, err)
	}
	if out := output(t, e, a.ID()); out != "done\n" {
		t.Errorf("afterwards its log is %q", out)
	}
}
