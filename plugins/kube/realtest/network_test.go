package realtest

import (
	"errors"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	authv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/internal/testenv"
	"github.com/atom-router/atom-router/plugins/kube"
)

// Connections that are cut again and again cost no result and no line.
func TestCutConnections(t *testing.T) {
	s := newSpace(t)
	p, kubeconfig := s.through(t, s.Token(t))
	e := s.engine(t, kube.Config{Kubeconfig: kubeconfig})
	ids := make([]string, 5)
	for i := range ids {
		ids[i] = create(t, e, request(t, "lines", "100", "60ms", "x", ";", "exit", strconv.Itoa(i))).ID()
	}
	for _, id := range ids {
		running(t, s, e, id)
	}
	var all sync.WaitGroup
	for i, id := range ids {
		logs, err := e.Logs(&atom.EngineLogsRequest{ID: id, Context: t.Context()})
		if err != nil {
			t.Fatal(err)
		}
		all.Go(func() {
			if text := textOf(t, logs); text != linesOf(0, 100, "x") {
				t.Errorf("follow %d gave %q", i, text)
			}
		})
		all.Go(func() {
			if info := waited(t, e, id); info.ExitCode == nil || *info.ExitCode != i {
				t.Errorf("wait %d says %s/%s", i, info.State, info.Result)
			}
		})
	}
	for range 15 {
		pause(t.Context(), 300*time.Millisecond)
		p.Cut()
	}
	all.Wait()
}

// A connection that has died without a word is found out.
func TestDeadConnections(t *testing.T) {
	s := newSpace(t)
	p, kubeconfig := s.through(t, s.Token(t))
	e := s.engine(t, kube.Config{Kubeconfig: kubeconfig})
	id := create(t, e, request(t, "lines", "80", "100ms", "x", ";", "exit", "3")).ID()
	running(t, s, e, id)
	logs, err := e.Logs(&atom.EngineLogsRequest{ID: id, Context: t.Context()})
	if err != nil {
		t.Fatal(err)
	}
	text := make(chan string, 1)
	go func() { text <- textOf(t, logs) }()
	answer := make(chan atom.Info, 1)
	go func() { answer <- waited(t, e, id) }()
	pause(t.Context(), time.Second)
	defer p.Die()()
	if info := <-answer; info.ExitCode == nil || *info.ExitCode != 3 {
		t.Errorf("wait says %s/%s", info.State, info.Result)
	}
	if got := <-text; got != linesOf(0, 80, "x") {
		t.Errorf("the follow gave %q", got)
	}
}

// Credentials that expire in the middle end Waits, with words that say so.
func TestExpiredCredentials(t *testing.T) {
	s := newSpace(t)
	ctx := t.Context()
	secret, err := s.Admin.CoreV1().Secrets(s.Name).Create(ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "bound"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	// A token holds no longer than the object that it is bound to; ten
	// minutes are the least that one may be asked for.
	token, err := s.Admin.CoreV1().ServiceAccounts(s.Name).CreateToken(ctx, "atom-router", &authv1.TokenRequest{Spec: authv1.TokenRequestSpec{
		BoundObjectRef: &authv1.BoundObjectReference{Kind: "Secret", APIVersion: "v1", Name: "bound", UID: secret.UID},
	}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	p, kubeconfig := s.through(t, token.Status.Token)
	e := s.engine(t, kube.Config{Kubeconfig: kubeconfig})
	id := create(t, e, request(t, "sleep", "10m")).ID()
	running(t, s, e, id)
	ended := make(chan error, 1)
	go func() {
		_, err := e.Wait(&atom.EngineWaitRequest{ID: id, Context: ctx})
		ended <- err
	}()
	if err := s.Admin.CoreV1().Secrets(s.Name).Delete(ctx, "bound", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	s.Eventually(t, "the credentials to expire", func() error {
		p.Cut()
		if _, err := e.Probe(ctx); !errdefs.IsPermissionDenied(err) {
			return errors.Join(errors.New("they did not"), err)
		}
		return nil
	})
	if err := <-ended; !errdefs.IsPermissionDenied(err) {
		t.Errorf("wait says %v", err)
	}
	if _, err := e.Get(&atom.EngineGetRequest{ID: id, Context: ctx}); !errdefs.IsPermissionDenied(err) {
		t.Errorf("get says %v", err)
	}
	if _, err := e.List(&atom.EngineListRequest{Context: ctx}); !errdefs.IsPermissionDenied(err) {
		t.Errorf("list says %v", err)
	}
}

// through gives a kubeconfig of the account that leads through a proxy, with
// that token. Connections by it are asked more often whether they live: 30 and
// 15 seconds are client-go's defaults.
func (s space) through(t *testing.T, token string) (*testenv.Proxy, string) {
	t.Helper()
	t.Setenv("HTTP2_READ_IDLE_TIMEOUT_SECONDS", "2")
	t.Setenv("HTTP2_PING_TIMEOUT_SECONDS", "1")
	return s.Through(t, token)
}
