package kube

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"time"

	"github.com/hashicorp/go-hclog"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/types"
	kwatch "k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"

	"github.com/atom-router/atom-router/atom"
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
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	out := &corev1.Pod{}
	return out, a.rest.Post().Namespace(a.namespace).Resource("pods").VersionedParams(&o, a.params).Body(pod).Do(ctx).Into(out)
}

func (a *api) get(ctx context.Context, name string) (*corev1.Pod, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	out := &corev1.Pod{}
	return out, a.rest.Get().Namespace(a.namespace).Resource("pods").Name(name).Do(ctx).Into(out)
}

// list gives one page.
func (a *api) list(ctx context.Context, o metav1.ListOptions) (*corev1.PodList, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	out := &corev1.PodList{}
	return out, a.rest.Get().Namespace(a.namespace).Resource("pods").VersionedParams(&o, a.params).Do(ctx).Into(out)
}

func (a *api) watch(ctx context.Context, o metav1.ListOptions) (kwatch.Interface, error) {
	o.Watch = true
	return a.rest.Get().Namespace(a.namespace).Resource("pods").VersionedParams(&o, a.params).Watch(ctx)
}

// patch applies a JSON merge patch (RFC 7396).
func (a *api) patch(ctx context.Context, name string, change any) (*corev1.Pod, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	body, err := json.Marshal(change)
	if err != nil {
		return nil, err
	}
	out := &corev1.Pod{}
	return out, a.rest.Patch(types.MergePatchType).Namespace(a.namespace).Resource("pods").Name(name).Body(body).Do(ctx).Into(out)
}

// remove deletes one incarnation of a pod with so many seconds of grace.
func (a *api) remove(ctx context.Context, i identity, grace int64) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	uid := types.UID(i.uid)
	o := metav1.DeleteOptions{GracePeriodSeconds: &grace, Preconditions: &metav1.Preconditions{UID: &uid}}
	return a.rest.Delete().Namespace(a.namespace).Resource("pods").Name(i.name).Body(&o).Do(ctx).Error()
}

func (a *api) logs(ctx context.Context, name string, o corev1.PodLogOptions) (io.ReadCloser, error) {
	return a.rest.Get().Namespace(a.namespace).Resource("pods").Name(name).SubResource("log").VersionedParams(&o, a.params).Stream(ctx)
}
