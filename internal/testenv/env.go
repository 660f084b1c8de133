package testenv

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// Env is the engines for the tests of one checkout.
type Env struct {
	root               string // of the checkout
	state, run         string // of the Docker daemon
	kubeState, kubeRun string // of the cluster
	podman             podman
	out                io.Writer
}

// New returns the environment of the checkout at root, which may be up or
// down. What is done is told on out.
func New(root string, out io.Writer) (*Env, error) {
	root, err := filepath.Abs(root)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256([]byte(root))
	name := hex.EncodeToString(sum[:4])
	// None is the beginning of another: processes are found by them.
	state, run := "/var/lib/atom-router-testenv", "/run/atom-router-testenv"
	return &Env{
		root: root, out: out,
		state: filepath.Join(state, name), run: filepath.Join(run, name),
		kubeState: filepath.Join(state, "kube-"+name), kubeRun: filepath.Join(run, "kube-"+name),
		podman: podman{filepath.Join(state, "podman-"+name), filepath.Join(run, "podman-"+name)},
	}, nil
}

// ErrNoEngine is wrapped by errors that say why an engine cannot be had here.
var ErrNoEngine = errors.New("it cannot be had here")

// Up is what Up found or started.
type Up struct {
	Vars    []string         // that tests are told by
	Started bool             // by this call
	Missing map[string]error // by engine: why there is none
}

// Up starts what is not up yet, and removes what killed tests left. An engine
// that cannot be had is no error.
func (e *Env) Up(ctx context.Context) (Up, error) {
	up := Up{Missing: make(map[string]error)}
	if os.Geteuid() == 0 { // who else could have started any
		if err := removeLeftovers(); err != nil {
			return up, err
		}
	}
	for engine, start := range map[string]func(context.Context) ([]string, bool, error){
		"docker": e.upDocker, "kube": e.upKube, "podman": e.upPodman, "systemd": e.upSystemd, "prometheus": e.upPrometheus, "otlp": e.upOTLP,
		"python": e.upPython,
	} {
		vars, started, err := start(ctx)
		up.Started = up.Started || started
		switch {
		case errors.Is(err, ErrNoEngine):
			up.Missing[engine] = err
			continue
		case err != nil:
			return up, err
		}
		up.Vars = append(up.Vars, vars...)
	}
	up.Vars = append(up.Vars, ImageVariable+"="+ProbeImage)
	return up, nil
}

func (e *Env) upDocker(ctx context.Context) (vars []string, started bool, err error) {
	host := os.Getenv(ExternalVariable)
	switch {
	case host != "":
	case answers(ctx, e.daemon().socket()):
		host = e.daemon().Host()
	default:
		if err := install(ctx, e.out, "docker", dockerNeeds); err != nil {
			return nil, false, err
		}
		// What a crashed run left would be in the way.
		if err := e.daemon().Remove(); err != nil {
			return nil, false, err
		}
		d, err := StartDaemon(ctx, e.state, e.run)
		if err != nil {
			return nil, false, err
		}
		host, started = d.Host(), true
	}
	return []string{HostVariable + "=" + host}, started, LoadProbe(ctx, host)
}

func (e *Env) upPodman(ctx context.Context) (vars []string, started bool, err error) {
	host := os.Getenv(PodmanVariable)
	switch {
	case host != "":
	case answers(ctx, e.podman.socket()):
		host = e.podman.host()
	default:
		if err := install(ctx, e.out, "podman", podmanNeeds); err != nil {
			return nil, false, err
		}
		if err := e.podman.remove(); err != nil {
			return nil, false, err
		}
		if err := e.podman.start(ctx); err != nil {
			return nil, false, errors.Join(err, e.podman.remove())
		}
		host, started = e.podman.host(), true
	}
	return []string{PodmanVariable + "=" + host}, started, LoadProbe(ctx, host)
}

func (e *Env) upKube(ctx context.Context) (vars []string, started bool, err error) {
	c := &Cluster{state: e.kubeState, run: e.kubeRun}
	if given := os.Getenv(ClusterVariable); given != "" && given != c.Kubeconfig() {
		return []string{ClusterVariable + "=" + given, "KUBECONFIG=" + given}, false, nil
	}
	// Asked first: what cannot run need not be built.
	if err := install(ctx, e.out, "kube", kubeNeeds); err != nil {
		return nil, false, err
	}
	programs, err := kubernetes.build(ctx, e.root, e.out)
	if err != nil {
		return nil, false, err
	}
	if !c.answers(ctx) {
		if err := c.Remove(); err != nil {
			return nil, false, err
		}
		if c, err = StartCluster(ctx, e.kubeState, e.kubeRun, programs, ClusterOptions{}); err != nil {
			return nil, false, err
		}
		started = true
	}
	return []string{
		ClusterVariable + "=" + c.Kubeconfig(), "KUBECONFIG=" + c.Kubeconfig(), ProgramsVariable + "=" + programs,
	}, started, nil
}

// upPython gets what plugins in Python need; there is nothing to start.
func (e *Env) upPython(ctx context.Context) (vars []string, started bool, err error) {
	if files, _ := absent(pythonNeeds); len(files) == 0 {
		return nil, false, nil
	}
	return nil, false, install(ctx, e.out, "python", pythonNeeds)
}

// Down ends what Up started and leaves nothing of it.
func (e *Env) Down() error {
	return errors.Join(e.daemon().Remove(), (&Cluster{state: e.kubeState, run: e.kubeRun}).Remove(), e.podman.remove(), os.RemoveAll(e.dir()))
}

func (e *Env) daemon() *Daemon { return &Daemon{state: e.state, run: e.run} }

func (e *Env) dir() string { return filepath.Join(e.root, ".testenv") }

// Write writes the file to be sourced in a shell, and returns its path.
func (e *Env) Write(vars []string) (string, error) {
	if err := os.MkdirAll(e.dir(), 0o755); err != nil {
		return "", err
	}
	text := ""
	for _, v := range vars {
		text += "export " + v + "\n"
	}
	path := filepath.Join(e.dir(), "env")
	return path, os.WriteFile(path, []byte(text), 0o644)
}

// pythonDir is where Debian's packages put Python's modules. Another Python,
// which may come first on PATH, does not look there.
const pythonDir = "/usr/lib/python3/dist-packages"

// need is a file that an engine needs, and the package of Debian's that has
// it: a path, or a program's name.
type need struct{ file, pkg string }

var (
	dockerNeeds = []need{{"dockerd", "docker.io"}, {"containerd", "containerd"}, {"runc", "runc"}, {"iptables", "iptables"}, {"ip", "iproute2"}}
	kubeNeeds   = []need{
		{"containerd", "containerd"}, {"ctr", "containerd"}, {"runc", "runc"}, {"iptables", "iptables"}, {"ip", "iproute2"},
		{cniDir + "/bridge", "containernetworking-plugins"}, {"mount", "mount"},
	}
	pythonNeeds = []need{
		{"/usr/bin/python3", "python3"}, {pythonDir + "/grpc/__init__.py", "python3-grpcio"},
		{pythonDir + "/google/protobuf/__init__.py", "python3-protobuf"}, {pythonDir + "/cryptography/__init__.py", "python3-cryptography"},
		{"protoc", "protobuf-compiler"}, {"/usr/include/google/protobuf/timestamp.proto", "libprotobuf-dev"},
	}
	podmanNeeds = []need{{"podman", "podman"}, {"conmon", "conmon"}, {"runc", "runc"}}
)

// install gets what an engine needs from Debian's packages.
func install(ctx context.Context, out io.Writer, engine string, needs []need) error {
	if os.Geteuid() != 0 {
		return fmt.Errorf("%w: this is not root", ErrNoEngine)
	}
	files, packages := absent(needs)
	if len(files) == 0 {
		return nil
	}
	if _, err := exec.LookPath("apt-get"); err != nil {
		return fmt.Errorf("%w: %s missing, and no apt-get to install from", ErrNoEngine, strings.Join(files, ", "))
	}
	fmt.Fprintf(out, "Installing for %s from Debian's packages: %s…\n", engine, strings.Join(packages, ", "))
	for _, args := range [][]string{
		{"update"},
		append([]string{"install", "-y", "--no-install-recommends"}, packages...),
	} {
		if text, err := aptGet(ctx, "", args...); err != nil {
			return fmt.Errorf("%w: apt-get %s: %w\n%s", ErrNoEngine, args[0], err, text)
		}
	}
	if files, _ := absent(needs); len(files) > 0 {
		return fmt.Errorf("%w: the packages have no %s", ErrNoEngine, strings.Join(files, ", "))
	}
	return nil
}

// absent are the files that this machine lacks, and their packages.
func absent(needs []need) (files, packages []string) {
	for _, n := range needs {
		_, err := exec.LookPath(n.file)
		if filepath.IsAbs(n.file) {
			_, err = os.Stat(n.file)
		}
		if err != nil {
			files = append(files, n.file)
			if !slices.Contains(packages, n.pkg) {
				packages = append(packages, n.pkg)
			}
		}
	}
	return files, packages
}
