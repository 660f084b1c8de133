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

// buildKube returns the directory of Kubernetes' programs. They are built once
// for each version and kept in the user's cache.
func buildKube(ctx context.Context, root string, out io.Writer) (string, error) {
	module := filepath.Join(root, "internal", "testenv", "k8s")
	gomod, err := os.ReadFile(filepath.Join(module, "go.mod"))
	if err != nil {
		return "", err
	}
	version, err := goCommand(ctx, module, "list", "-m", "-f", "{{.Version}}", "k8s.io/kubernetes")
	if err != nil {
		return "", err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(append(gomod, runtime.Version()...))
	cache = filepath.Join(cache, "atom-router-testenv")
	dir := filepath.Join(cache, fmt.Sprintf("kubernetes-%s-%s-%s", version, runtime.GOARCH, hex.EncodeToString(sum[:4])))
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	fmt.Fprintf(out, "Building Kubernetes %s into %s, which takes some minutes the first time…\n", version, cache)
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", err
	}
	// Others see it complete or not at all.
	draft, err := os.MkdirTemp(cache, "draft-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(draft)
	ldflags := "-s -w -X k8s.io/component-base/version.gitVersion=" + version
	cmd := exec.CommandContext(ctx, "go", "install", "-trimpath", "-ldflags", ldflags, "tool", "./pause")
	cmd.Dir = module
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOBIN="+draft, "GOFLAGS=-mod=readonly")
	if text, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building Kubernetes: %w\n%s", err, tail(text))
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
