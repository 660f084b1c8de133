package realtest

import (
	"bufio"
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/internal/testenv"
	"github.com/atom-router/atom-router/internal/testenv/kubespace"
	"github.com/atom-router/atom-router/plugins/kube"
)

// What may happen to a cluster happens to one that is this test's own.
func TestFaults(t *testing.T) {
	c := testenv.StartKube(t, testenv.ClusterOptions{LogMaxSize: "64Ki", LogMaxFiles: 2, NodeGrace: 20 * time.Second})
	for _, f := range []struct {
		name  string
		fault func(*testing.T, *testenv.Cluster, space)
	}{
		{"the API server restarts under waits, follows and creates", apiServerRestarts},
		{"the API server forgets what was watched from", forgotten},
		{"the kubelet restarts under a follow", kubeletRestarts},
		{"logs are rotated", rotation},
		{"admission webhooks", webhooks},
		{"the node is lost", nodeLost}, // the last: the node takes time to come back
	} {
		t.Run(f.name, func(t *testing.T) { f.fault(t, c, space{kubespace.On(t, c.Kubeconfig(), nil)}) })
		// Its watches come back one by one after an API server's restarts, with
		// pauses that grow: the next namespace would be without an account for
		// minutes.
		restart(t, c, testenv.ControllerManager, 0)
	}
}

// restart kills a part and starts it again after an outage.
func restart(t testing.TB, c *testenv.Cluster, part string, outage time.Duration) {
	t.Helper()
	if err := c.Kill(part); err != nil {
		t.Error(err)
	}
	time.Sleep(outage)
	if err := c.Start(t.Context(), part); err != nil {
		t.Error(err)
	}
}

func apiServerRestarts(t *testing.T, c *testenv.Cluster, s space) {
	const waits, follows, restarts = 50, 10, 3
	e := s.engine(t, kube.Config{})
	var all sync.WaitGroup
	for i := range follows {
		word := "follow-" + strconv.Itoa(i)
		r := request(t, "lines", "400", "100ms", word)
		r.Key = word
		id := create(t, e, r).ID()
		all.Go(func() {
			if text := output(t, e, id); text != linesOf(0, 400, word) {
				t.Errorf("%s gave %d bytes, not its 400 lines once each:\n%s", word, len(text), text)
			}
		})
	}
	for i := range waits {
		r := request(t, "sleep", "10s", ";", "exit", strconv.Itoa(i%3))
		r.Key = "wait-" + strconv.Itoa(i)
		id := create(t, e, r).ID()
		all.Go(func() {
			if info := waited(t, e, id); info.State != atom.Stopped || info.ExitCode == nil || *info.ExitCode != i%3 {
				t.Errorf("%s is %s/%s: %s", r.Key, info.State, info.Result, info.Message)
			}
		})
	}
	keys := make(chan int, 1)
	creating, enough := context.WithCancel(t.Context())
	all.Go(func() {
		n := 0
		for creating.Err() == nil {
			if createOnce(t, e, "loop-"+strconv.Itoa(n)) {
				n++
			}
			pause(creating, 100*time.Millisecond)
		}
		keys <- n
	})
	for range restarts {
		restart(t, c, testenv.APIServer, 2*time.Second)
		pause(t.Context(), 4*time.Second)
	}
	enough()
	made := <-keys
	all.Wait()
	t.Logf("%d creates over %d restarts", made, restarts)

	// Each key is one pod, and the engine shows them all.
	pods, err := s.Admin.CoreV1().Pods(s.Name).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	list, err := e.List(&atom.EngineListRequest{Context: t.Context()})
	if want := waits + follows + made; err != nil || len(pods.Items) != want || len(list) != want {
		t.Errorf("there are %d pods for %d keys, and List shows %d, %v", len(pods.Items), want, len(list), err)
	}
}

// createOnce creates as a scheduler does: under the same key until it is told
// that it has the atom.
func createOnce(t *testing.T, e *kube.Engine, key string) bool {
	r := request(t, "exit", "0")
	r.Key = key
	for {
		switch _, err := e.Create(r); {
		case err == nil:
			return true
		case t.Context().Err() != nil:
			return false
		case !errdefs.IsUnavailable(err):
			t.Errorf("create under key %s: %v", key, err)
		}
		pause(t.Context(), 100*time.Millisecond)
	}
}

func linesOf(from, to int, word string) string {
	var b strings.Builder
	for i := from; i < to; i++ {
		fmt.Fprintf(&b, "%s %d\n", word, i)
	}
	return b.String()
}

// While the API server was away pods came, ended and vanished, and it cannot
// tell any more.
func forgotten(t *testing.T, c *testenv.Cluster, s space) {
	e := s.engine(t, kube.Config{})
	stays := create(t, e, request(t, "sleep", "8s", ";", "exit", "4")).ID()
	vanishes := create(t, e, request(t, "sleep", "10m")).ID()
	answers := make(map[string]chan atom.Info)
	for _, id := range []string{stays, vanishes} {
		running(t, s, e, id)
		answer := make(chan atom.Info, 1)
		answers[id] = answer
		go func() { answer <- waited(t, e, id) }()
	}
	if err := c.Kill(testenv.APIServer); err != nil {
		t.Fatal(err)
	}
	if err := c.Forget(t.Context(), s.Name, nameOf(t, vanishes)); err != nil {
		t.Fatal(err)
	}
	if err := c.Compact(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := c.Start(t.Context(), testenv.APIServer); err != nil {
		t.Fatal(err)
	}
	if info := <-answers[vanishes]; info.State != atom.Deleted || info.Result != atom.Unknown {
		t.Errorf("the pod that vanished is %s/%s", info.State, info.Result)
	}
	if info := <-answers[stays]; info.Result != atom.Failure || *info.ExitCode != 4 {
		t.Errorf("the pod that stayed is %s/%s: %s", info.State, info.Result, info.Message)
	}
	if list, err := e.List(&atom.EngineListRequest{Context: t.Context()}); err != nil || len(list) != 1 || list[0].ID() != stays {
		t.Errorf("the list is %v, %v", list, err)
	}
}

func kubeletRestarts(t *testing.T, c *testenv.Cluster, s space) {
	e := s.engine(t, kube.Config{})
	id := create(t, e, request(t, "lines", "250", "50ms", "x", ";", "exit", "5")).ID()
	logs, err := e.Logs(&atom.EngineLogsRequest{ID: id, Context: t.Context()})
	if err != nil {
		t.Fatal(err)
	}
	defer logs.Close()
	in := bufio.NewReader(logs)
	for i := range 250 {
		if i == 30 || i == 120 {
			restart(t, c, testenv.Kubelet, 500*time.Millisecond)
		}
		if line, err := in.ReadString('\n'); err != nil || line != fmt.Sprintf("x %d\n", i) {
			t.Fatalf("line %d is %q, %v", i, line, err)
		}
	}
	if rest, err := io.ReadAll(in); err != nil || len(rest) > 0 {
		t.Errorf("after the last line come %q and %v", rest, err)
	}
	if info := waited(t, e, id); info.Result != atom.Failure || *info.ExitCode != 5 {
		t.Errorf("it ended as %s: %s", info.Result, info.Message)
	}
}

// webhooks: one that refuses, and one that does not answer, are errors that
// say so and leave nothing.
func webhooks(t *testing.T, c *testenv.Cluster, s space) {
	e := s.engine(t, kube.Config{})
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var review admissionv1.AdmissionReview
		if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
			t.Error(err)
		}
		review.Response = &admissionv1.AdmissionResponse{UID: review.Request.UID, Result: &metav1.Status{Message: "no pods on Mondays"}}
		review.Request = nil
		if err := json.NewEncoder(w).Encode(review); err != nil {
			t.Error(err)
		}
	}))
	defer server.Close()
	fail, none := admissionregistrationv1.Fail, admissionregistrationv1.SideEffectClassNone
	hooks := s.Admin.AdmissionregistrationV1().ValidatingWebhookConfigurations()
	hook, err := hooks.Create(t.Context(), &admissionregistrationv1.ValidatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "mondays-"},
		Webhooks: []admissionregistrationv1.ValidatingWebhook{{
			Name: "mondays.example.com", AdmissionReviewVersions: []string{"v1"}, FailurePolicy: &fail, SideEffects: &none,
			NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: s.Name}},
			ClientConfig: admissionregistrationv1.WebhookClientConfig{
				URL:      &server.URL,
				CABundle: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}),
			},
			Rules: []admissionregistrationv1.RuleWithOperations{podCreates},
		}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := hooks.Delete(context.Background(), hook.Name, metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
	}()
	s.Eventually(t, "the webhook to refuse", func() error {
		_, err := e.Create(request(t, "exit", "0"))
		if errdefs.IsFailedPrecondition(err) && strings.Contains(err.Error(), "no pods on Mondays") {
			return nil
		}
		return errors.Join(errors.New("it did not"), err)
	})
	policyRefuses(t, s, e)
	server.Close()
	_, err = e.Create(request(t, "exit", "0"))
	var unknown *atom.OutcomeUnknown
	if !errdefs.IsUnavailable(err) || errors.As(err, &unknown) || !strings.Contains(err.Error(), "mondays.example.com") {
		t.Errorf("with a webhook that is away create says %v", err)
	}
	pods, err := e.List(&atom.EngineListRequest{Context: t.Context()})
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range pods {
		// The webhook takes a moment to be known, and pods were made before.
		if err := e.Delete(&atom.EngineDeleteRequest{ID: a.ID(), Force: true, Context: t.Context()}); err != nil {
			t.Error(err)
		}
	}
	nothingLeft(t, s)
}

// policyRefuses: a ValidatingAdmissionPolicy is a refusal like any other.
func policyRefuses(t *testing.T, s space, e *kube.Engine) {
	ctx := t.Context()
	admission := s.Admin.AdmissionregistrationV1()
	only := &admissionregistrationv1.MatchResources{
		NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: s.Name}},
		ResourceRules:     []admissionregistrationv1.NamedRuleWithOperations{{RuleWithOperations: podCreates}},
	}
	policy, err := admission.ValidatingAdmissionPolicies().Create(ctx, &admissionregistrationv1.ValidatingAdmissionPolicy{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "tuesdays-"},
		Spec: admissionregistrationv1.ValidatingAdmissionPolicySpec{
			MatchConstraints: only,
			Validations:      []admissionregistrationv1.Validation{{Expression: "object.metadata.name == 'x'", Message: "no pods on Tuesdays"}},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = admission.ValidatingAdmissionPolicyBindings().Create(ctx, &admissionregistrationv1.ValidatingAdmissionPolicyBinding{
		ObjectMeta: metav1.ObjectMeta{Name: policy.Name},
		Spec: admissionregistrationv1.ValidatingAdmissionPolicyBindingSpec{
			PolicyName: policy.Name, ValidationActions: []admissionregistrationv1.ValidationAction{admissionregistrationv1.Deny},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	s.Eventually(t, "the policy to refuse", func() error {
		_, err := e.Create(request(t, "exit", "0"))
		if errdefs.IsFailedPrecondition(err) && strings.Contains(err.Error(), "no pods on Tuesdays") {
			return nil
		}
		return errors.Join(errors.New("it did not"), err)
	})
	err1 := admission.ValidatingAdmissionPolicyBindings().Delete(ctx, policy.Name, metav1.DeleteOptions{})
	err2 := admission.ValidatingAdmissionPolicies().Delete(ctx, policy.Name, metav1.DeleteOptions{})
	if err := errors.Join(err1, err2); err != nil {
		t.Error(err)
	}
	s.Eventually(t, "the policy to be forgotten", func() error {
		_, err := e.Create(request(t, "exit", "0"))
		if err != nil && strings.Contains(err.Error(), "Tuesdays") {
			return err
		}
		return nil
	})
}

var podCreates = admissionregistrationv1.RuleWithOperations{
	Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create},
	Rule:       admissionregistrationv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"pods"}},
}

// nodeLost: nobody claims to know what became of a job on a node that is gone,
// a Delete with force lets go of it, and the others' results come when it is
// back.
func nodeLost(t *testing.T, c *testenv.Cluster, s space) {
	e := s.engine(t, kube.Config{})
	back := create(t, e, request(t, "sleep", "20s", ";", "exit", "6")).ID()
	gone := create(t, e, request(t, "sleep", "1h")).ID()
	running(t, s, e, back)
	running(t, s, e, gone)
	answer := make(chan atom.Info, 1)
	go func() { answer <- waited(t, e, back) }()
	if err := c.Kill(testenv.Kubelet); err != nil {
		t.Fatal(err)
	}
	s.Eventually(t, "the node to be lost", func() error {
		nodes, err := s.Admin.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
		if err != nil {
			return err
		}
		for _, cond := range nodes.Items[0].Status.Conditions {
			if cond.Type == corev1.NodeReady && cond.Status != corev1.ConditionUnknown {
				return errors.New(string(cond.Status))
			}
		}
		return nil
	})
	a, err := e.Get(&atom.EngineGetRequest{ID: back, Context: t.Context()})
	if err != nil || a.State() != atom.Running {
		t.Errorf("on the lost node it is %v, %v", a, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	if err := e.Stop(&atom.EngineStopRequest{ID: gone, Context: ctx}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a stop that nobody confirms says %v", err)
	}
	if err := e.Delete(&atom.EngineDeleteRequest{ID: gone, Force: true, Context: t.Context()}); err != nil {
		t.Errorf("delete with force: %v", err)
	}
	if _, err := e.Get(&atom.EngineGetRequest{ID: gone, Context: t.Context()}); !errdefs.IsNotFound(err) {
		t.Errorf("afterwards get says %v", err)
	}
	select {
	case info := <-answer:
		t.Errorf("wait says %s/%s before anybody can know", info.State, info.Result)
	default:
	}
	if err := c.Start(t.Context(), testenv.Kubelet); err != nil {
		t.Fatal(err)
	}
	if info := <-answer; info.Result != atom.Failure || *info.ExitCode != 6 {
		t.Errorf("when the node is back it ended as %s/%s: %s", info.State, info.Result, info.Message)
	}
}
