package kube

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/containerd/errdefs"
	"github.com/hashicorp/go-hclog"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/types"
	kwatch "k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/internal/backoff"
)

// callTimeout bounds each request to the API server that is no stream.
const callTimeout = 30 * time.Second

// api is what the engine needs of the Kubernetes API: the pods of one
// namespace. It goes without the generated clientset, which would link every
// type that Kubernetes has.
type api struct {
	rest      rest.Interface
	params    runtime.ParameterCodec
	server    string
	namespace string
	http      *http.Client
}

func newAPI(config *rest.Config, namespace string, s settings, log hclog.Logger) (*api, error) {
	scheme := runtime.NewScheme()
	if err := corev1.AddToScheme(scheme); err != nil {
		return nil, err
	}
	c := rest.CopyConfig(config)
	c.APIPath = "/api"
	c.GroupVersion = &corev1.SchemeGroupVersion
	c.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	c.ContentType = runtime.ContentTypeProtobuf
	c.AcceptContentTypes = runtime.ContentTypeProtobuf + "," + runtime.ContentTypeJSON
	c.QPS, c.Burst = float32(s.QPS), s.Burst
	c.UserAgent = "atom-plugin-kube/" + Version
	c.WarningHandler = warnings{log}
	client, err := rest.HTTPClientFor(c)
	if err != nil {
		return nil, &atom.FieldError{Field: "kubeconfig", Reason: err.Error()}
	}
	r, err := rest.RESTClientForConfigAndClient(c, client)
	if err != nil {
		return nil, &atom.FieldError{Field: "kubeconfig", Reason: err.Error()}
	}
	return &api{rest: r, params: runtime.NewParameterCodec(scheme), server: c.Host, namespace: namespace, http: client}, nil
}

// warnings are what the API server says beside its answers.
type warnings struct{ log hclog.Logger }

func (w warnings) HandleWarningHeader(_ int, _, text string) {
	w.log.Debug("the API server warns", "warning", text)
}

func (a *api) close() { a.http.CloseIdleConnections() }

func (a *api) create(ctx context.Context, pod *corev1.Pod, o metav1.CreateOptions) (*corev1.Pod, error) {
	return call(ctx, a, func(ctx context.Context, out *corev1.Pod) error {
		return a.pods(a.rest.Post()).VersionedParams(&o, a.params).Body(pod).Do(ctx).Into(out)
	})
}

func (a *api) get(ctx context.Context, name string) (*corev1.Pod, error) {
	return call(ctx, a, func(ctx context.Context, out *corev1.Pod) error {
		return a.pods(a.rest.Get()).Name(name).Do(ctx).Into(out)
	})
}

// list gives one page.
func (a *api) list(ctx context.Context, o metav1.ListOptions) (*corev1.PodList, error) {
	return call(ctx, a, func(ctx context.Context, out *corev1.PodList) error {
		return a.pods(a.rest.Get()).VersionedParams(&o, a.params).Do(ctx).Into(out)
	})
}

func (a *api) watch(ctx context.Context, o metav1.ListOptions) (events kwatch.Interface, err error) {
	o.Watch = true
	err = a.settled(ctx, func() error {
		events, err = a.pods(a.rest.Get()).VersionedParams(&o, a.params).Watch(ctx)
		return err
	})
	return events, err
}

// patch applies a JSON merge patch (RFC 7396).
func (a *api) patch(ctx context.Context, name string, change any) (*corev1.Pod, error) {
	body, err := json.Marshal(change)
	if err != nil {
		return nil, err
	}
	return call(ctx, a, func(ctx context.Context, out *corev1.Pod) error {
		return a.pods(a.rest.Patch(types.MergePatchType)).Name(name).Body(body).Do(ctx).Into(out)
	})
}

// remove deletes one incarnation of a pod with so many seconds of grace.
func (a *api) remove(ctx context.Context, i identity, grace int64) error {
	uid := types.UID(i.uid)
	o := metav1.DeleteOptions{GracePeriodSeconds: &grace, Preconditions: &metav1.Preconditions{UID: &uid}}
	_, err := call(ctx, a, func(ctx context.Context, _ *struct{}) error {
		return a.pods(a.rest.Delete()).Name(i.name).Body(&o).Do(ctx).Error()
	})
	return err
}

func (a *api) logs(ctx context.Context, name string, o corev1.PodLogOptions) (body io.ReadCloser, err error) {
	err = a.settled(ctx, func() error {
		body, err = a.pods(a.rest.Get()).Name(name).SubResource("log").VersionedParams(&o, a.params).Stream(ctx)
		return err
	})
	return body, err
}

func (a *api) pods(r *rest.Request) *rest.Request { return r.Namespace(a.namespace).Resource("pods") }

// call makes a request that is no stream.
func call[T any](ctx context.Context, a *api, request func(ctx context.Context, out *T) error) (*T, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	out := new(T)
	err := a.settled(ctx, func() error { return request(ctx, out) })
	return out, err
}

var errNotReady = errors.New("is not ready yet")

// How long an API server may refuse to say whether it is ready before what it
// refuses is believed: that it does not know who asks, which a wrong token gets
// too, and that it does not let them, which it says of /readyz to hardly anybody
// once it has its roles. On a busy machine those take seconds.
const (
	unknownTime   = 2 * time.Second
	forbiddenTime = 6 * time.Second
)

// settled makes a request. An API server that has just been started knows no
// roles and no accounts, and refuses everybody, for a moment even to say that
// it is not ready. What it refuses is asked again when it says that it is, or
// that it does not tell us; until then it is Unavailable.
func (a *api) settled(ctx context.Context, request func() error) error {
	for first := (time.Time{}); ; {
		err := request()
		var status apierrors.APIStatus
		if !errors.As(err, &status) || classOf(status.Status()) != errdefs.ErrPermissionDenied {
			return err
		}
		if first.IsZero() { // requests are slow at such times
			first = time.Now()
		}
		patience := forbiddenTime
		if apierrors.IsUnauthorized(err) {
			patience = unknownTime
		}
		var code int
		ready := a.rest.Get().AbsPath("/readyz").Do(ctx).StatusCode(&code).Error()
		switch {
		case ready == nil:
			return request()
		case code == 0 || code >= 500:
			return atom.Errorf(errdefs.ErrUnavailable, "the API server at %s %w: %w", a.server, errNotReady, ready)
		case ctx.Err() != nil || time.Since(first) > patience:
			return err
		}
		pause(ctx, backoff.Watch.After(1, rand.Int64N))
	}
}
