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
	"strings"
)

// Env is the engines for the tests of one checkout.
type Env struct {
	root  string // of the checkout
	state string
	run   string
	out   io.Writer
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
	return &Env{
		root: root, out: out,
		state: filepath.Join("/var/lib/atom-router-testenv", name), run: filepath.Join("/run/atom-router-testenv", name),
	}, nil
}

// ErrNoEngine is wrapped by errors that say why no engine can be had here.
var ErrNoEngine = errors.New("no Docker engine can be had")

// Up starts what is not up yet and returns the variables that tests are told
// by. started reports whether it was this call that did.
func (e *Env) Up(ctx context.Context) (vars []string, started bool, err error) {
	host := os.Getenv(ExternalVariable)
	switch {
	case host != "":
	case answers(ctx, e.daemon().socket()):
		host = e.daemon().Host()
	default:
		if err := install(ctx, e.out); err != nil {
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
	if err := LoadProbe(ctx, host); err != nil {
		return nil, started, err
	}
	vars = []string{HostVariable + "=" + host, ImageVariable + "=" + ProbeImage}
	return vars, started, nil
}

// Down ends what Up started and leaves nothing of it.
func (e *Env) Down() error {
	return errors.Join(e.daemon().Remove(), os.RemoveAll(e.dir()))
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

// install gets what a daemon needs from Debian's packages.
func install(ctx context.Context, out io.Writer) error {
	if os.Geteuid() != 0 {
		return fmt.Errorf("%w: this is not root", ErrNoEngine)
	}
	if len(absent()) == 0 {
		return nil
	}
	if _, err := exec.LookPath("apt-get"); err != nil {
		return fmt.Errorf("%w: %s missing, and no apt-get to install from", ErrNoEngine, strings.Join(absent(), ", "))
	}
	fmt.Fprintln(out, "Installing docker.io from Debian's packages…")
	for _, args := range [][]string{
		{"update"},
		{"install", "-y", "--no-install-recommends", "docker.io", "containerd", "runc", "iptables", "iproute2"},
	} {
		cmd := exec.CommandContext(ctx, "apt-get", append([]string{"-q"}, args...)...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		if text, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%w: apt-get %s: %w\n%s", ErrNoEngine, args[0], err, text[max(0, len(text)-2000):])
		}
	}
	if left := absent(); len(left) > 0 {
		return fmt.Errorf("%w: the packages have no %s", ErrNoEngine, strings.Join(left, ", "))
	}
	return nil
}

// absent are the programs that a daemon needs and this machine lacks.
func absent() []string {
	var names []string
	for _, program := range []string{"dockerd", "containerd", "runc", "ip"} {
		if _, err := exec.LookPath(program); err != nil {
			names = append(names, program)
		}
	}
	return names
}
