package testenv

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// Cluster is a Kubernetes of our own: etcd, API server, controller manager,
// scheduler, and one node whose kubelet runs containers in a containerd of its
// own. State, sockets, ports and bridge are nobody else's.
type Cluster struct {
	state, run string
	programs   string // where they were built
	options    ClusterOptions
	ports      ports
	parts      map[string]*component
}

// ClusterOptions vary a cluster.
type ClusterOptions struct {
	// LogMaxSize is at what size the kubelet rotates a container's log, as
	// Kubernetes writes sizes; "" is Kubernetes' default.
	LogMaxSize string
	// LogMaxFiles is how many of the files it keeps; 0 is Kubernetes'
	// default.
	LogMaxFiles int
	// NodeGrace is after how long without a word from it a node counts as
	// lost; 0 is Kubernetes' default.
	NodeGrace time.Duration
}

// Parts of a cluster, for Kill and Start.
const (
	Etcd              = "etcd"
	APIServer         = "kube-apiserver"
	ControllerManager = "kube-controller-manager"
	Scheduler         = "kube-scheduler"
	Containerd        = "containerd"
	Kubelet           = "kubelet"
)

// clusterTime bounds how long a cluster may take until it runs pods.
const clusterTime = 3 * time.Minute

// StartCluster starts a cluster whose state is under state and whose sockets
// are under run, a short path, and returns when it runs pods.
func StartCluster(ctx context.Context, state, run, programs string, o ClusterOptions) (*Cluster, error) {
	c := &Cluster{state: state, run: run, programs: programs, options: o, parts: make(map[string]*component)}
	ctx, cancel := context.WithTimeout(ctx, clusterTime)
	defer cancel()
	if err := c.start(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("starting Kubernetes: %w", err), c.Remove())
	}
	return c, nil
}

func (c *Cluster) start(ctx context.Context) error {
	for _, dir := range []string{c.state, c.run, c.path("log"), c.path("pki"), c.path("cni")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	var err error
	if c.ports, err = freePorts(); err != nil {
		return err
	}
	if err := c.bridge().add(); err != nil {
		return err
	}
	if err := c.writeFiles(); err != nil {
		return err
	}
	for _, name := range []string{Etcd, Containerd, APIServer} {
		if err := c.Start(ctx, name); err != nil {
			return err
		}
	}
	for _, name := range []string{ControllerManager, Scheduler} {
		if err := c.Start(ctx, name); err != nil {
			return err
		}
	}
	if err := c.importImages(ctx); err != nil {
		return err
	}
	// Pods reach the API server where every pod looks for it, without a
	// kube-proxy.
	if err := c.bridge().lead(apiService, 443, c.ports.apiServer); err != nil {
		return err
	}
	if err := c.Start(ctx, Kubelet); err != nil {
		return err
	}
	return c.awaitNode(ctx)
}

// Kubeconfig is the path of the administrator's kubeconfig.
func (c *Cluster) Kubeconfig() string { return c.path("kubeconfig") }

func (c *Cluster) path(name string) string { return filepath.Join(c.state, name) }

// Start starts a part, for the first time or after Kill, and returns when it
// serves.
func (c *Cluster) Start(ctx context.Context, name string) error {
	p, err := startComponent(name, c.command(name), c.path("log/"+name))
	if err != nil {
		return err
	}
	c.parts[name] = p
	return p.await(ctx, func(ctx context.Context) error { return c.serves(ctx, name) })
}

// Kill kills a part with SIGKILL.
func (c *Cluster) Kill(name string) error { return c.parts[name].kill() }

// Signal sends a signal to a part.
func (c *Cluster) Signal(name string, s os.Signal) error {
	return c.parts[name].cmd.Process.Signal(s)
}

// Remove ends the cluster and its pods, and removes all that they left:
// processes, mounts, files. It also does so for one that an earlier program
// started in the same directories.
func (c *Cluster) Remove() error {
	containers, _ := filepath.Glob(filepath.Join(c.run, "containerd/io.containerd.runtime.v2.task/k8s.io/*"))
	err := errors.Join(endProcesses(c.state, c.run), unmount(c.state, c.run), c.bridge().leadNoMore(), c.bridge().remove())
	for _, dir := range containers {
		// Of a container that nobody ended in good order an empty cgroup
		// may be left, in version 2's tree or in version 1's many.
		for _, tree := range []string{"/sys/fs/cgroup/k8s.io", "/sys/fs/cgroup/*/k8s.io"} {
			groups, _ := filepath.Glob(filepath.Join(tree, filepath.Base(dir)))
			for _, group := range groups {
				_ = os.Remove(group)
			}
		}
	}
	return errors.Join(err, os.RemoveAll(c.run), os.RemoveAll(c.state))
}

// LogTails writes the end of each part's log.
func (c *Cluster) LogTails(w io.Writer) {
	logs, _ := filepath.Glob(c.path("log/*"))
	for _, path := range logs {
		text, err := os.ReadFile(path)
		fmt.Fprintf(w, "the end of %s: %v\n%s\n", path, err, tail(text))
	}
}

// bridge is what the pods' network hangs on.
func (c *Cluster) bridge() bridge { return bridgeOf(c.run) }
