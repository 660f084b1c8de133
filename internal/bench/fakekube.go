package main

import (
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	"k8s.io/apimachinery/pkg/runtime/serializer/streaming"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	restwatch "k8s.io/client-go/rest/watch"

	"github.com/atom-router/atom-router/atom"
)

// kubeNamespace is the only one of a kubeShaped server.
const kubeNamespace = "jobs"

// kubeShaped answers as an API server with any number of pods does: over TLS
// and HTTP/2, by pages, in protobuf, encoded for each answer.
type kubeShaped struct {
	*shaped
	pods  []corev1.Pod // as they end; sorted by name, as in etcd
	codec *protobuf.Serializer
	raw   *protobuf.RawSerializer // of what a watch wraps events in
}

// kubeStreams is how many streams an API server allows on a connection
// (k8s.io/apiserver, pkg/server/secure_serving.go).
const kubeStreams = 100

// kubeVersion is that of lists while pods run. The end of each has one of its
// own after it.
const kubeVersion = 100_000

// serveKube is the process of one.
func serveKube(kubeconfig, aside, count string) error {
	n, err := strconv.Atoi(count)
	if err != nil {
		return err
	}
	scheme := runtime.NewScheme()
	if err := corev1.AddToScheme(scheme); err != nil {
		return err
	}
	k := &kubeShaped{shaped: newShaped(), codec: protobuf.NewSerializer(scheme, scheme), raw: protobuf.NewRawSerializer(scheme, scheme)}
	now := time.Now()
	for i := range n {
		k.pods = append(k.pods, podOf(i, now))
	}
	mux := http.NewServeMux()
	at := "/api/v1/namespaces/" + kubeNamespace + "/pods"
	mux.HandleFunc("GET "+at, k.list)
	mux.HandleFunc("GET "+at+"/{name}", k.get)
	mux.HandleFunc("POST "+at, func(w http.ResponseWriter, _ *http.Request) { // the probe: there is one already
		k.answer(w, http.StatusConflict, &metav1.Status{Status: metav1.StatusFailure, Code: http.StatusConflict, Reason: metav1.StatusReasonAlreadyExists})
	})
	server := httptest.NewUnstartedServer(mux)
	server.EnableHTTP2 = true
	server.Config.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: kubeStreams}
	server.Config.ConnState = k.tally
	server.StartTLS()
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	text := fmt.Sprintf(`{"apiVersion": "v1", "kind": "Config", "current-context": "x",
		"contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}], "users": [{"name": "x", "user": {}}],
		"clusters": [{"name": "x", "cluster": {"server": %q, "certificate-authority-data": %q}}]}`, server.URL, base64.StdEncoding.EncodeToString(ca))
	if err := os.WriteFile(kubeconfig, []byte(text), 0o600); err != nil {
		return err
	}
	return k.serve(aside, func() error { select {} }) // the server serves already
}

func podName(i int) string { return fmt.Sprintf("atom-%026d", i) }

// podNumber is the i of a podName.
func podNumber(name string) (int, error) { return strconv.Atoi(strings.TrimPrefix(name, "atom-")) }

func podUID(i int) string { return fmt.Sprintf("830d0b44-0000-4000-8000-%012d", i) }

// pod is one as it is now.
func (k *kubeShaped) pod(i int) *corev1.Pod {
	p := k.pods[i]
	if at, _ := k.now(); !at.IsZero() {
		return &p
	}
	p.ResourceVersion = strconv.Itoa(1000 + i)
	p.Status.Phase = corev1.PodRunning
	status := p.Status.ContainerStatuses[0]
	yes := true
	status.Ready, status.Started = true, &yes
	status.State = corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: status.State.Terminated.StartedAt}}
	p.Status.ContainerStatuses = []corev1.ContainerStatus{status}
	return &p
}

// podOf is a finished job's pod as the engine makes it and a cluster fills it
// in.
func podOf(i int, now time.Time) corev1.Pod {
	created := now.Add(-time.Duration(i*7919%100_000) * time.Second) // names are hashes: no order of time
	at := func(d time.Duration) metav1.Time { return metav1.NewTime(created.Add(d).Truncate(time.Second)) }
	grace, no, seconds := int64(10), false, int64(300)
	condition := func(kind corev1.PodConditionType) corev1.PodCondition {
		return corev1.PodCondition{Type: kind, Status: corev1.ConditionTrue, LastTransitionTime: at(time.Second)}
	}
	return corev1.Pod{
		TypeMeta: metav1.TypeMeta{Kind: "Pod", APIVersion: "v1"},
		ObjectMeta: metav1.ObjectMeta{
			Name: podName(i), Namespace: kubeNamespace, UID: types.UID(podUID(i)), ResourceVersion: strconv.Itoa(kubeVersion + 1 + i), CreationTimestamp: at(0),
			Labels: map[string]string{atom.Label: "atom", atom.LabelOwner: atom.DefaultOwner},
			Annotations: map[string]string{
				atom.LabelCreated: strconv.FormatInt(created.UnixNano(), 10), atom.LabelName: "job-" + strconv.Itoa(i), atom.LabelRule: "default",
				atom.LabelHash: "v1:" + strings.Repeat("0123456789abcdef", 4), atom.Label + ".image": "registry.example/team/job:1.4", atom.Label + ".labels": `{"team":"ml"}`,
			},
			ManagedFields: []metav1.ManagedFieldsEntry{
				{Manager: "atom-plugin-kube", Operation: "Update", APIVersion: "v1", FieldsType: "FieldsV1", FieldsV1: metav1.NewFieldsV1(`{"f:metadata":{"f:annotations":{".":{},"f:cloud.caesium.created":{},"f:cloud.caesium.hash":{}}},"f:spec":{"f:containers":{"k:{\"name\":\"atom\"}":{".":{},"f:image":{},"f:args":{}}},"f:restartPolicy":{}}}`)},
				{Manager: "kubelet", Operation: "Update", APIVersion: "v1", FieldsType: "FieldsV1", Subresource: "status", FieldsV1: metav1.NewFieldsV1(`{"f:status":{"f:conditions":{"k:{\"type\":\"ContainersReady\"}":{".":{},"f:status":{}}},"f:containerStatuses":{},"f:phase":{},"f:podIP":{},"f:startTime":{}}}`)},
			},
		},
		Spec: corev1.PodSpec{
			RestartPolicy: corev1.RestartPolicyNever, TerminationGracePeriodSeconds: &grace, DNSPolicy: corev1.DNSClusterFirst, ServiceAccountName: "default", DeprecatedServiceAccount: "default",
			AutomountServiceAccountToken: &no, EnableServiceLinks: &no, NodeName: "node-12", SchedulerName: "default-scheduler", SecurityContext: &corev1.PodSecurityContext{},
			Tolerations: []corev1.Toleration{
				{Key: "node.kubernetes.io/not-ready", Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute, TolerationSeconds: &seconds},
				{Key: "node.kubernetes.io/unreachable", Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute, TolerationSeconds: &seconds},
			},
			Containers: []corev1.Container{{
				Name: "atom", Image: "registry.example/team/job:1.4", Args: []string{"--shard", "12", "--of", "40"}, ImagePullPolicy: corev1.PullIfNotPresent,
				TerminationMessagePath: "/dev/termination-log", TerminationMessagePolicy: corev1.TerminationMessageReadFile,
				Env:       []corev1.EnvVar{{Name: "TEAM", Value: "ml"}, {Name: "BUCKET", Value: "s3://example/input/2026/11"}},
				Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{"cpu": resource.MustParse("500m"), "memory": resource.MustParse("1Gi")}, Limits: corev1.ResourceList{"cpu": resource.MustParse("500m"), "memory": resource.MustParse("1Gi")}},
			}},
		},
		Status: corev1.PodStatus{
			Phase: corev1.PodSucceeded, HostIP: "10.0.0.12", PodIP: "10.244.3.7", StartTime: &metav1.Time{Time: at(0).Time}, QOSClass: corev1.PodQOSGuaranteed,
			Conditions: []corev1.PodCondition{condition(corev1.PodReadyToStartContainers), condition(corev1.PodInitialized), condition(corev1.PodReady), condition(corev1.ContainersReady), condition(corev1.PodScheduled)},
			ContainerStatuses: []corev1.ContainerStatus{{
				Name: "atom", Image: "registry.example/team/job:1.4", ImageID: "registry.example/team/job@sha256:" + dockerID(7), ContainerID: "containerd://" + dockerID(i),
				State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Reason: "Completed", StartedAt: at(2 * time.Second), FinishedAt: at(90 * time.Second), ContainerID: "containerd://" + dockerID(i)}},
			}},
		},
	}
}

func (k *kubeShaped) answer(w http.ResponseWriter, code int, o runtime.Object) {
	w.Header().Set("Content-Type", runtime.ContentTypeProtobuf)
	w.WriteHeader(code)
	_ = k.codec.Encode(o, w) // whoever asked has gone
}

func (k *kubeShaped) list(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	if q.Get("watch") != "" {
		k.watch(w, r)
		return
	}
	from, _ := strconv.Atoi(q.Get("continue"))
	limit, err := strconv.Atoi(q.Get("limit"))
	if err != nil || limit == 0 {
		limit = len(k.pods)
	}
	to := min(from+limit, len(k.pods))
	page := &corev1.PodList{TypeMeta: metav1.TypeMeta{Kind: "PodList", APIVersion: "v1"}, ListMeta: metav1.ListMeta{ResourceVersion: strconv.Itoa(kubeVersion)}}
	if at, _ := k.now(); !at.IsZero() {
		page.ResourceVersion = strconv.Itoa(kubeVersion + len(k.pods))
	}
	for i := from; i < to; i++ {
		page.Items = append(page.Items, *k.pod(i))
	}
	if to < len(k.pods) {
		page.Continue = strconv.Itoa(to)
	}
	k.answer(w, http.StatusOK, page)
}

// watch tells of the end of all pods, or of that of one, unless whoever asks has
// seen it.
func (k *kubeShaped) watch(w http.ResponseWriter, r *http.Request) {
	from, to := 0, len(k.pods)
	if name, one := strings.CutPrefix(r.URL.Query().Get("fieldSelector"), "metadata.name="); one {
		i, err := podNumber(name)
		if err != nil || i >= len(k.pods) {
			k.answer(w, http.StatusBadRequest, &metav1.Status{Status: metav1.StatusFailure, Code: http.StatusBadRequest, Reason: metav1.StatusReasonBadRequest})
			return
		}
		from, to = i, i+1
	}
	_, ended := k.now()
	k.waits.Add(1)
	defer k.waits.Add(-1)
	w.Header().Set("Content-Type", runtime.ContentTypeProtobuf+";stream=watch")
	w.(http.Flusher).Flush()
	if since, _ := strconv.Atoi(r.URL.Query().Get("resourceVersion")); since > kubeVersion {
		ended = nil
	}
	select {
	case <-ended:
	case <-r.Context().Done():
		return
	}
	out := restwatch.NewEncoder(streaming.NewEncoder(protobuf.LengthDelimitedFramer.NewFrameWriter(w), k.raw), k.codec)
	for i := from; i < to; i++ {
		if out.Encode(&watch.Event{Type: watch.Modified, Object: k.pod(i)}) != nil {
			return
		}
		w.(http.Flusher).Flush()
	}
	<-r.Context().Done()
}

func (k *kubeShaped) get(w http.ResponseWriter, r *http.Request) {
	i, err := podNumber(r.PathValue("name"))
	if err != nil || i >= len(k.pods) {
		k.answer(w, http.StatusNotFound, &metav1.Status{Status: metav1.StatusFailure, Code: http.StatusNotFound, Reason: metav1.StatusReasonNotFound})
		return
	}
	k.answer(w, http.StatusOK, k.pod(i))
}
