package testenv

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
)

// getPrometheus returns the directory of Debian's prometheus and promtool: the
// installed ones, or those in the package, which is unpacked into the user's
// cache and not installed: installed, it would run a service of its own.
func getPrometheus(ctx context.Context, out io.Writer) (string, error) {
	if path, err := exec.LookPath("prometheus"); err == nil {
		if _, err := exec.LookPath("promtool"); err == nil {
			return filepath.Dir(path), nil
		}
	}
	for _, tool := range []string{"apt-get", "dpkg-deb"} {
		if _, err := exec.LookPath(tool); err != nil {
			return "", fmt.Errorf("%w: no prometheus, and no %s to get it with", ErrNoEngine, tool)
		}
	}
	dir, err := cached("prometheus-"+runtime.GOARCH, func(draft string) error {
		fmt.Fprintln(out, "Unpacking Debian's package prometheus…")
		if _, err := aptGet(ctx, draft, "download", "prometheus"); err != nil {
			if text, err := aptGet(ctx, draft, "update"); err != nil {
				return fmt.Errorf("%w: apt-get update: %w\n%s", ErrNoEngine, err, text)
			}
			if text, err := aptGet(ctx, draft, "download", "prometheus"); err != nil {
				return fmt.Errorf("%w: apt-get download prometheus: %w\n%s", ErrNoEngine, err, text)
			}
		}
		packages, err := filepath.Glob(filepath.Join(draft, "*.deb"))
		if err != nil || len(packages) != 1 {
			return fmt.Errorf("%w: apt-get download prometheus left %d packages, not one", ErrNoEngine, len(packages))
		}
		if text, err := exec.CommandContext(ctx, "dpkg-deb", "--extract", packages[0], draft).CombinedOutput(); err != nil {
			return fmt.Errorf("%w: unpacking %s: %w\n%s", ErrNoEngine, packages[0], err, tail(text))
		}
		return os.Remove(packages[0])
	})
	return filepath.Join(dir, "usr", "bin"), err
}

func aptGet(ctx context.Context, dir string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "apt-get", append([]string{"-q"}, args...)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	text, err := cmd.CombinedOutput()
	return tail(text), err
}

func (e *Env) upPrometheus(ctx context.Context) (vars []string, started bool, err error) {
	dir, err := getPrometheus(ctx, e.out)
	return []string{PrometheusVariable + "=" + dir}, false, err
}

func (e *Env) upOTLP(ctx context.Context) (vars []string, started bool, err error) {
	dir, err := otlpReceiver.build(ctx, e.root, e.out)
	if err != nil { // no way to its modules
		return nil, false, fmt.Errorf("%w: %w", ErrNoEngine, err)
	}
	return []string{OTLPVariable + "=" + filepath.Join(dir, otlpReceiver.module)}, false, nil
}
