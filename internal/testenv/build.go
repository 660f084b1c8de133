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
	"runtime"
	"strings"
)

// program is what a module below this package builds.
type program struct {
	module  string // its directory
	title   string
	depends string // what of its requirements gives it the version
	source  string // a file of the module's own that it depends on; may be ""
	install []string
	takes   string
}

var (
	kubernetes = program{
		module: "k8s", title: "Kubernetes", depends: "k8s.io/kubernetes", install: []string{"tool", "./pause"}, takes: "some minutes",
	}
	otlpReceiver = program{
		module: "otlp", title: "the OTLP receiver", depends: "go.opentelemetry.io/collector/receiver/otlpreceiver",
		source: "main.go", install: []string{"."}, takes: "a minute",
	}
)

// build returns the directory of a module's programs. They are built once for
// each version and kept in the user's cache.
func (p program) build(ctx context.Context, root string, out io.Writer) (string, error) {
	module := filepath.Join(root, "internal", "testenv", p.module)
	made, err := os.ReadFile(filepath.Join(module, "go.mod"))
	if err != nil {
		return "", err
	}
	version, err := goCommand(ctx, module, "list", "-m", "-f", "{{.Version}}", p.depends)
	if err != nil {
		return "", err
	}
	if p.source != "" {
		source, err := os.ReadFile(filepath.Join(module, p.source))
		if err != nil {
			return "", err
		}
		made = append(made, source...)
	}
	sum := sha256.Sum256(append(made, runtime.Version()...))
	name := p.depends[strings.LastIndex(p.depends, "/")+1:]
	return cached(fmt.Sprintf("%s-%s-%s-%s", name, version, runtime.GOARCH, hex.EncodeToString(sum[:4])), func(draft string) error {
		fmt.Fprintf(out, "Building %s %s, which takes %s the first time…\n", p.title, version, p.takes)
		ldflags := "-s -w"
		if p.module == kubernetes.module {
			ldflags += " -X k8s.io/component-base/version.gitVersion=" + version
		}
		cmd := exec.CommandContext(ctx, "go", append([]string{"install", "-trimpath", "-ldflags", ldflags}, p.install...)...)
		cmd.Dir = module
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOBIN="+draft, "GOFLAGS=-mod=readonly")
		if text, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("building %s: %w\n%s", p.title, err, tail(text))
		}
		return nil
	})
}

// cached returns the directory of this name in the user's cache, which fill
// fills the first time.
func cached(name string, fill func(draft string) error) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	cache = filepath.Join(cache, "atom-router-testenv")
	dir := filepath.Join(cache, name)
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", err
	}
	// Others see it complete or not at all.
	draft, err := os.MkdirTemp(cache, "draft-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(draft)
	if err := fill(draft); err != nil {
		return "", err
	}
	if err := os.Rename(draft, dir); err != nil && !errors.Is(err, os.ErrExist) {
		if _, there := os.Stat(dir); there != nil {
			return "", err
		}
	}
	return dir, nil
}

func goCommand(ctx context.Context, dir string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	text, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return "", fmt.Errorf("go %s: %w\n%s", args[0], err, exit.Stderr)
	}
	return strings.TrimSpace(string(text)), err
}

// tail is the end of a text that may be long.
func tail(text []byte) []byte { return text[max(0, len(text)-2000):] }
