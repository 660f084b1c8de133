package testenv

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"runtime"
	"strings"

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
