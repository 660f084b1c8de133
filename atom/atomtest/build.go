package atomtest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// ProbePackage is the import path of the probe program.
const ProbePackage = "github.com/atom-router/atom-router/atom/atomtest/probe"

// BuildProbe builds the probe program for this machine into dir and returns
// its absolute path. It is static, and the same sources give the same bytes.
// It needs the go command, and a working directory in a module that requires
// this one.
func BuildProbe(ctx context.Context, dir string) (string, error) {
	return BuildProbeFor(ctx, dir, runtime.GOOS, runtime.GOARCH)
}

// BuildProbeFor is BuildProbe for another system: images need "linux".
func BuildProbeFor(ctx context.Context, dir, goos, goarch string) (string, error) {
	path, err := filepath.Abs(filepath.Join(dir, "probe"))
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, "go", "build",
		"-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid=", "-o", path, ProbePackage)
	// The caller's flags (-race, -mod=mod, -cover) are for its own build.
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOOS="+goos, "GOARCH="+goarch)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building the probe program: %w: %s", err, strings.TrimSpace(string(out)))
	}
	return path, nil
}
