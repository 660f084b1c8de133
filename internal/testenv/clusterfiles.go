package testenv

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"

	"github.com/atom-router/atom-router/atom/atomtest"
)

// pauseImage is what holds the pods' namespaces open.
const pauseImage = "docker.io/atom-router/pause:test"

// serviceRange are the addresses of services, of which the API server's own is
// the first.
const (
	serviceRange = "10.96.0.0/16"
	apiService   = "10.96.0.1"
)

// nodeName is the node's. The API server reaches its kubelet under it.
const nodeName = "localhost"

// command is how a part is started.
func (c *Cluster) command(name string) []string {
	program := filepath.Join(c.programs, name)
	port := strconv.Itoa
	url := func(p int) string { return "http://127.0.0.1:" + port(p) }
	switch name {
	case Etcd:
		return []string{
			filepath.Join(c.programs, "server"), "--data-dir", c.path("etcd"), "--unsafe-no-fsync",
			"--listen-client-urls", url(c.ports.etcd), "--advertise-client-urls", url(c.ports.etcd),
			"--listen-peer-urls", url(c.ports.etcdPeer), "--initial-advertise-peer-urls", url(c.ports.etcdPeer),
			"--initial-cluster", "default=" + url(c.ports.etcdPeer),
		}
	case APIServer:
		return []string{
			program, "--etcd-servers", url(c.ports.etcd), "--service-cluster-ip-range", serviceRange,
			"--cert-dir", c.path("pki"), "--secure-port", port(c.ports.apiServer), "--bind-address", "127.0.0.1",
			"--service-account-issuer", "https://kubernetes.default.svc",
			"--service-account-key-file", c.path("sa.pub"), "--service-account-signing-key-file", c.path("sa.key"),
			"--token-auth-file", c.path("tokens.csv"), "--authorization-mode", "Node,RBAC", "--allow-privileged=true",
		}
	case ControllerManager:
		args := []string{
			program, "--kubeconfig", c.Kubeconfig(), "--service-account-private-key-file", c.path("sa.key"),
			"--root-ca-file", c.path("pki/apiserver.crt"), "--leader-elect=false",
			"--bind-address", "127.0.0.1", "--secure-port", port(c.ports.controllerManager), "--cert-dir", c.path("pki"),
		}
		if c.options.NodeGrace > 0 {
			args = append(args, "--node-monitor-grace-period", c.options.NodeGrace.String())
		}
		return args
	case Scheduler:
		return []string{
			program, "--kubeconfig", c.Kubeconfig(), "--leader-elect=false",
			"--bind-address", "127.0.0.1", "--secure-port", port(c.ports.scheduler), "--cert-dir", c.path("pki"),
		}
	case Containerd:
		return []string{"containerd", "--config", c.path("containerd.toml")}
	case Kubelet:
		return []string{
			program, "--config", c.path("kubelet.yaml"), "--kubeconfig", c.Kubeconfig(),
			"--root-dir", c.path("kubelet"), "--cert-dir", c.path("pki"), "--hostname-override", nodeName,
		}
	}
	panic("no such part of a cluster: " + name)
}

// token is the administrator's, who is known on this machine only.
const token = "administrator"

// writeFiles writes what the parts are configured by.
func (c *Cluster) writeFiles() error {
	network, err := c.bridge().address()
	if err != nil {
		return err
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return err
	}
	rotation := ""
	if c.options.LogMaxSize != "" {
		rotation += "containerLogMaxSize: " + c.options.LogMaxSize + "\ncontainerLogMonitorInterval: 3s\n"
	}
	if c.options.LogMaxFiles > 0 {
		rotation += fmt.Sprintf("containerLogMaxFiles: %d\n", c.options.LogMaxFiles)
	}
	files := map[string]string{
		"port":       strconv.Itoa(c.ports.apiServer),
		"sa.key":     string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})),
		"sa.pub":     string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})),
		"tokens.csv": token + `,admin,admin,"system:masters"` + "\n",
		"kubeconfig": fmt.Sprintf(`apiVersion: v1
kind: Config
clusters: [{name: test, cluster: {server: "https://127.0.0.1:%d", certificate-authority: %q}}]
users: [{name: admin, user: {token: %s}}]
contexts: [{name: test, context: {cluster: test, user: admin, namespace: default}}]
current-context: test
`, c.ports.apiServer, c.path("pki/apiserver.crt"), token),
		// Without CAP_SYS_RESOURCE no sandbox could be given a better score.
		"containerd.toml": fmt.Sprintf(`version = 2
root = %q
state = %q
[grpc]
  address = %q
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = %q
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  disable_tcp_service = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = %q
    conf_dir = %q
`, c.path("containerd"), filepath.Join(c.run, "containerd"), c.socket(), pauseImage, cniDir, c.path("cni")),
		"cni/pods.conflist": fmt.Sprintf(`{"cniVersion": "0.4.0", "name": "pods", "plugins": [
  {"type": "bridge", "bridge": %q, "isGateway": true, "ipam": {"type": "host-local", "dataDir": %q, "ranges": [[{"subnet": %q}]], "routes": [{"dst": %q}]}},
  {"type": "loopback"}]}
`, c.bridge().name, c.path("addresses"), network.Masked(), serviceRange),
		"kubelet.yaml": fmt.Sprintf(`apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: 127.0.0.1
port: %d
healthzPort: %d
containerRuntimeEndpoint: unix://%s
podLogsDir: %q
authentication: {anonymous: {enabled: true}, webhook: {enabled: false}}
authorization: {mode: AlwaysAllow}
failCgroupV1: false
cgroupDriver: cgroupfs
cgroupsPerQOS: false
enforceNodeAllocatable: []
failSwapOn: false
localStorageCapacityIsolation: false
resolvConf: ""
maxPods: 200
serializeImagePulls: false
imageGCHighThresholdPercent: 100
evictionHard: {memory.available: 1Mi, nodefs.available: 0.1%%, nodefs.inodesFree: 0.1%%, imagefs.available: 0.1%%}
%s`, c.ports.kubelet, c.ports.kubeletHealth, c.socket(), c.PodLogs(), rotation),
	}
	for name, text := range files {
		if err := os.WriteFile(c.path(name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// cniDir is where Debian's containernetworking-plugins are.
const cniDir = "/usr/lib/cni"

// PodLogs is the directory in which the kubelet keeps what containers write:
// NAMESPACE_POD_UID/CONTAINER/0.log, and what was rotated beside it.
func (c *Cluster) PodLogs() string { return c.path("pod-logs") }

func (c *Cluster) socket() string { return filepath.Join(c.run, "containerd.sock") }

// importImages gives the node the images that pods need, as there is no
// registry.
func (c *Cluster) importImages(ctx context.Context) error {
	dir := c.path("images")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	probe, err := atomtest.BuildProbeFor(ctx, dir, "linux", runtime.GOARCH)
	if err != nil {
		return err
	}
	for ref, program := range map[string]string{pauseImage: filepath.Join(c.programs, "pause"), "docker.io/" + ProbeImage: probe} {
		if err := c.importImage(ctx, dir, ref, program); err != nil {
			return err
		}
	}
	return nil
}

func (c *Cluster) importImage(ctx context.Context, dir, ref, program string) error {
	path := filepath.Join(dir, filepath.Base(program)+".tar")
	archive, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := errors.Join(atomtest.WriteProbeImage(archive, program, ref), archive.Close()); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "ctr", "--address", c.socket(), "--namespace", "k8s.io", "images", "import", path)
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("importing %s: %w: %s", ref, err, tail(text))
	}
	return nil
}
