package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	kwatch "k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/atom-router/atom-router/router"
	"github.com/atom-router/atom-router/router/config"
)

const (
	// Both sides have the same limits, and wide ones: what is measured is
	// not client-go's patience.
	clusterQPS   = 2000
	clusterBurst = 4000
	// callers is how many jobs are under way at a time.
	callers = 64
)

// cluster is a real Kubernetes, with a namespace for one measurement and
// perhaps a node that is none: its pods end as soon as they are there, so that
// what is measured is the API and its clients, not a kubelet.
type cluster struct {
	kubeconfig string
	namespace  string
	image      string
	node       string // "" for those that the cluster has
	config     *rest.Config
	straight   *kubernetes.Clientset
	router     *router.Engine
	dir        string
	stop       func()
}

// startCluster gives a namespace, and with idle a node whose pods end at once.
func startCluster(ctx context.Context, idle bool) (*cluster, error) {
	c := &cluster{kubeconfig: os.Getenv("ATOM_TEST_KUBECONFIG"), image: os.Getenv("ATOM_TEST_IMAGE")}
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
	err := c.start(ctx, idle, func(f func()) { undo = append(undo, f) })
	if err != nil {
		c.stop()
		return nil, err
	}
	return c, nil
}

func (c *cluster) start(ctx context.Context, idle bool, later func(func())) error {
	var err error
	if c.config, err = clientcmd.BuildConfigFromFlags("", c.kubeconfig); err != nil {
		return err
	}
	c.config.QPS, c.config.Burst = clusterQPS, clusterBurst
	if c.straight, err = kubernetes.NewForConfig(c.config); err != nil {
		return err
	}
	ns, err := c.straight.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "atom-bench-"}}, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	c.namespace = ns.Name
	later(func() {
		_ = c.straight.CoreV1().Namespaces().Delete(context.Background(), c.namespace, metav1.DeleteOptions{})
	})
	err = wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		_, err := c.straight.CoreV1().ServiceAccounts(c.namespace).Get(ctx, "default", metav1.GetOptions{})
		return err == nil, nil
	})
	if err != nil {
		return fmt.Errorf("waiting for the namespace's service account: %w", err)
	}
	if idle {
		c.node = c.namespace
		if _, err := c.straight.CoreV1().Nodes().Create(ctx, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: c.node}}, metav1.CreateOptions{}); err != nil {
			return err
		}
		later(func() { _ = c.straight.CoreV1().Nodes().Delete(context.Background(), c.node, metav1.DeleteOptions{}) })
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
	file := filepath.Join(c.dir, "config.hcl")
	text := fmt.Sprintf(`
		plugin_dir = %q
		backend "kube" {
		  plugin = "kube"
		  config {
		    %s
		  }
		}
		default { backend = "kube" }
	`, c.dir, strings.Join(c.settings(), "\n"))
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return err
	}
	cfg, err := config.Load(file)
	if err != nil {
		return err
	}
	if c.router, err = router.New(ctx, cfg, router.Options{NoJanitor: true}); err != nil {
		return err
	}
	later(func() { c.router.Close() })
	return nil
}

// settings are the backend's, as HCL.
func (c *cluster) settings() []string {
	all := []string{
		fmt.Sprintf("kubeconfig = %q", c.kubeconfig), fmt.Sprintf("namespace = %q", c.namespace),
		fmt.Sprintf("qps = %d", clusterQPS), fmt.Sprintf("burst = %d", clusterBurst),
	}
	if c.node != "" {
		all = append(all, fmt.Sprintf("template = %q", c.template()))
	}
	return all
}

func (c *cluster) template() string { return "spec: {nodeName: " + c.node + "}" }

// endPods says of each pod of our node that its job has succeeded.
func (c *cluster) endPods(ctx context.Context) error {
	w, err := c.straight.CoreV1().Pods(c.namespace).Watch(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	pods := make(chan string, 10000)
	go func() { // ends with ctx
		defer close(pods)
		for e := range w.ResultChan() {
			if p, ok := e.Object.(*corev1.Pod); ok && e.Type == kwatch.Added {
				pods <- p.Name
			}
		}
	}()
	for range 8 {
		go func() { // ends with the watch
			for name := range pods {
				if err := c.endPod(ctx, name); err != nil && ctx.Err() == nil {
					fmt.Fprintln(os.Stderr, "bench: ending a pod:", err)
				}
			}
		}()
	}
	return nil
}

func (c *cluster) endPod(ctx context.Context, name string) error {
	now := time.Now().UTC().Format(time.RFC3339)
	status := fmt.Sprintf(`{"status": {"phase": "Succeeded", "containerStatuses": [{"name": "atom", "image": %q, "imageID": "", "ready": false, "restartCount": 0,
		"state": {"terminated": {"exitCode": 0, "reason": "Completed", "startedAt": %q, "finishedAt": %q}}}]}}`, c.image, now, now)
	_, err := c.straight.CoreV1().Pods(c.namespace).Patch(ctx, name, types.MergePatchType, []byte(status), metav1.PatchOptions{}, "status")
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
