package testenv

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/atom-router/atom-router/atom/atomtest"
)

// ProbeImage is what the probe image is called on daemons of our own.
const ProbeImage = "atom-router/probe:test"

// LoadProbe builds the probe program, makes an image of it and gives that to
// the daemon at host, which is on this machine.
func LoadProbe(ctx context.Context, host string) error {
	socket, ok := strings.CutPrefix(host, "unix://")
	if !ok {
		return fmt.Errorf("DOCKER_HOST %q is not a unix socket", host)
	}
	dir, err := os.MkdirTemp("", "probe")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	probe, err := atomtest.BuildProbeFor(ctx, dir, "linux", runtime.GOARCH)
	if err != nil {
		return err
	}
	var archive bytes.Buffer
	if err := atomtest.WriteProbeImage(&archive, probe, ProbeImage); err != nil {
		return err
	}
	return loadImage(ctx, socket, &archive)
}

// ImportImage gives the nodes of the tests' cluster an image, from an archive
// as `docker save` writes it, until the test ends. ref is its whole name. Where
// the cluster is somebody else's the test is skipped.
func ImportImage(t testing.TB, archive, ref string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(filepath.Dir(Kube(t)), "containerd.toml"))
	if err != nil {
		t.Skip("this test gives the node an image, and the cluster is somebody else's: " + ClusterVariable)
	}
	_, rest, _ := strings.Cut(string(text), "\n[grpc]\n  address = \"")
	address, _, _ := strings.Cut(rest, "\"")
	ctr := func(ctx context.Context, args ...string) {
		t.Helper()
		args = append([]string{"--address", address, "--namespace", "k8s.io", "images"}, args...)
		if out, err := exec.CommandContext(ctx, "ctr", args...).CombinedOutput(); err != nil {
			t.Errorf("ctr %s: %v: %s", strings.Join(args, " "), err, tail(out))
		}
	}
	ctr(t.Context(), "import", archive)
	t.Cleanup(func() { ctr(context.Background(), "remove", ref) })
}
