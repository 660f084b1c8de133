package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/atom-router/atom-router/router"
)

// limits are how many requests a client may make, on both sides alike.
type limits struct{ qps, burst int }

var (
	// usual is what the engine has by default.
	usual = limits{100, 200}
	// wide is so much that processors are the limit.
	wide = limits{2000, 4000}
)

// callers is how many jobs are under way at a time.
const callers = 64

// cluster is a real Kubernetes, with a namespace for one measurement and
// perhaps a node that is none: its pods end as soon as they are there, so that
// what is measured is the API and its clients, not a kubelet.
type cluster struct {
	kubeconfig string
	namespace  string
	image      string
	node       string // "" for those that the cluster has
	limits     limits
	admin      *kubernetes.Clientset // for what is not measured
	straight   *kubernetes.Clientset
	router     *router.Engine
	dir        string
	stop       func()
}

// node is where a cluster's pods go.
type node int

const (
	realNode node = iota
	// endingNode is none: its pods end as soon as they are there.
	endingNode
	// deafNode is none: nobody does anything about its pods.
	deafNode
)

// startCluster gives a namespace, and with idle a node whose pods end at once.
func startCluster(ctx context.Context, idle bool, l limits) (*cluster, error) {
	if idle {
		return startClusterWith(ctx, endingNode, l)
	}
	return startClusterWith(ctx, realNode, l)
}

func startClusterWith(ctx context.Context, n node, l limits) (*cluster, error) {
	c := &cluster{limits: l, kubeconfig: os.Getenv("ATOM_TEST_KUBECONFIG"), image: os.Getenv("ATOM_TEST_IMAGE")}
	if c.kubeconfig == "" || c.image == "" {
		return nil, fmt.Errorf("%w: ATOM_TEST_KUBECONFIG and ATOM_TEST_IMAGE are not set (source .testenv/env)", errNoEngine)
	}
	ctx, cancel := context.WithCancel(ctx)
	var undo []func()
	c.stop = func() {
		cancel()
		for i := range undo {
			undo[len(undo)-1-i]()
		}
	}
	err := c.start(ctx, n, func(f func()) { undo = append(undo, f) })
	if err != nil {
		c.stop()
		return nil, err
	}
	return c, nil
}

func (c *cluster) start(ctx context.Context, n node, later func(func())) error {
	var err error
	if c.admin, err = c.client(wide); err != nil {
		return err
	}
	if c.straight, err = c.client(c.limits); err != nil {
		return err
	}
	ns, err := c.admin.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "atom-bench-"}}, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	c.namespace = ns.Name
	later(func() {
		_ = c.admin.CoreV1().Namespaces().Delete(context.Background(), c.namespace, metav1.DeleteOptions{})
	})
	err = wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		_, err := c.admin.CoreV1().ServiceAccounts(c.namespace).Get(ctx, "default", metav1.GetOptions{})
		return err == nil, nil
	})
	if err != nil {
		return fmt.Errorf("waiting for the namespace's service account: %w", err)
	}
	if n != realNode {
		c.node = c.namespace
		if _, err := c.admin.CoreV1().Nodes().Create(ctx, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: c.node}}, metav1.CreateOptions{}); err != nil {
			return err
		}
		later(func() { _ = c.admin.CoreV1().Nodes().Delete(context.Background(), c.node, metav1.DeleteOptions{}) })
	}
	if n == endingNode {
		if err := c.endPods(ctx); err != nil {
			return err
		}
	}
	if c.dir, err = os.MkdirTemp("", "bench"); err != nil {
		return err
	}
	later(func() { os.RemoveAll(c.dir) })
	if err := buildPlugin(ctx, "kube", c.dir); err != nil {
		return err
	}
	if c.router, err = routerOn(ctx, c.dir, "kube", strings.Join(c.settings(), "\n")); err != nil {
		return err
	}
	later(func() { c.router.Close() })
	return nil
}

func (c *cluster) client(l limits) (*kubernetes.Clientset, error) {
	config, err := clientcmd.BuildConfigFromFlags("", c.kubeconfig)
	if err != nil {
		return nil, err
	}
	config.QPS, config.Burst = float32(l.qps), l.burst
	return kubernetes.NewForConfig(config)
}

// settings are the backend's, as HCL.
func (c *cluster) settings() []string {
	all := []string{
		fmt.Sprintf("kubeconfig = %q", c.kubeconfig), fmt.Sprintf("namespace = %q", c.namespace),
		fmt.Sprintf("qps = %d", c.limits.qps), fmt.Sprintf("burst = %d", c.limits.burst),
	}
	if c.node != "" {
		all = append(all, fmt.Sprintf("template = %q", c.template()))
	}
	return all
}

func (c *cluster) template() string { return "spec: {nodeName: " + c.node + "}" }

// endPods says of each pod of our node that its job has succeeded.
func (c *cluster) endPods(ctx context.Context) error {
	pods := make(chan string, finishedPods)
	stop, err := c.watchPods(ctx, cache.ResourceEventHandlerFuncs{AddFunc: func(o any) { pods <- o.(*corev1.Pod).Name }})
	if err != nil {
		return err
	}
	for range 8 {
		go func() { // ends with ctx
			for {
				select {
				case name := <-pods:
					if err := c.endPod(ctx, name); err != nil && ctx.Err() == nil {
						fmt.Fprintln(os.Stderr, "bench: ending a pod:", err)
					}
				case <-ctx.Done():
					return
				}
			}
		}()
	}
	context.AfterFunc(ctx, stop)
	return nil
}

// watchPods has a handler told of the namespace's pods, as client-go's users
// do it.
func (c *cluster) watchPods(ctx context.Context, handler cache.ResourceEventHandler) (stop func(), err error) {
	ctx, cancel := context.WithCancel(ctx)
	factory := informers.NewSharedInformerFactoryWithOptions(c.admin, 0, informers.WithNamespace(c.namespace))
	if _, err := factory.Core().V1().Pods().Informer().AddEventHandler(handler); err != nil {
		cancel()
		return nil, err
	}
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	return func() { cancel(); factory.Shutdown() }, nil
}

func (c *cluster) endPod(ctx context.Context, name string) error {
	now := time.Now().UTC().Format(time.RFC3339)
	status := fmt.Sprintf(`{"status": {"phase": "Succeeded", "containerStatuses": [{"name": "atom", "image": %q, "imageID": "", "ready": false, "restartCount": 0,
		"state": {"terminated": {"exitCode": 0, "reason": "Completed", "startedAt": %q, "finishedAt": %q}}}]}}`, c.image, now, now)
	_, err := c.admin.CoreV1().Pods(c.namespace).Patch(ctx, name, types.MergePatchType, []byte(status), metav1.PatchOptions{}, "status")
	return err
}

// all does n things, so many callers at a time.
func all(n int, do func(i int) error) error {
	next, errs := make(chan int), make(chan error, callers)
	for range callers {
		go func() { // ends with next
			var failed error
			for i := range next {
				if err := do(i); err != nil {
					failed = err
				}
			}
			errs <- failed
		}()
	}
	for i := range n {
		next <- i
	}
	close(next)
	var joined []error
	for range callers {
		joined = append(joined, <-errs)
	}
	return errors.Join(joined...)
}
