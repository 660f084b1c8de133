package packaging

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/atom-router/atom-router/internal/testenv"
)

// docker runs the docker command with the tests' daemon.
func docker(t *testing.T, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	text, err := commandIn(ctx, root, "docker", args...)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// needImage has the image built.
func needImage(t *testing.T) {
	t.Helper()
	testenv.Docker(t)
	build(t)
}

// TestImage: what `make image` built tells its version, is nobody's who has
// rights, holds what belongs to it and nothing that could be a way in.
func TestImage(t *testing.T) {
	needImage(t)
	checkVersion(t, docker(t, "run", "--rm", "--read-only", "--network", "none", image, "version", "-o", "json"))

	var config struct {
		User            string
		Entrypoint, Cmd []string
		Labels          map[string]string
	}
	if err := json.Unmarshal([]byte(docker(t, "image", "inspect", "--format", "{{json .Config}}", image)), &config); err != nil {
		t.Fatal(err)
	}
	if config.User != "65532:65532" || !cmp.Equal(config.Entrypoint, []string{"/usr/local/bin/atom-router"}) || !cmp.Equal(config.Cmd, []string{"serve"}) {
		t.Errorf("its config is %+v", config)
	}
	for label, want := range map[string]string{
		"org.opencontainers.image.version":  describe(t),
		"org.opencontainers.image.revision": must(t, "git", "rev-parse", "HEAD"),
	} {
		if config.Labels[label] != want {
			t.Errorf("label %s is %q, want %q", label, config.Labels[label], want)
		}
	}

	id := docker(t, "create", image)
	defer docker(t, "rm", id)
	archive := filepath.Join(t.TempDir(), "image.tar")
	docker(t, "export", "--output", archive, id)
	owners := map[string]string{}
	for line := range strings.Lines(must(t, "tar", "--numeric-owner", "-tvf", archive)) {
		f := strings.Fields(line)
		owners[strings.TrimSuffix(f[5], "/")] = f[0] + " " + f[1]
	}
	for path, want := range map[string]string{
		"usr/local/bin/atom-router":                     "-rwxr-xr-x 0/0",
		"usr/local/bin/atom-plugin-docker":              "-rwxr-xr-x 0/0",
		"usr/local/bin/atom-plugin-kube":                "-rwxr-xr-x 0/0",
		"etc/ssl/certs/ca-certificates.crt":             "-rw-r--r-- 0/0",
		"usr/share/doc/atom-router/LICENSE":             "-rw-r--r-- 0/0",
		"usr/share/doc/atom-router/licenses/go/LICENSE": "-rw-r--r-- 0/0",
		"run/atom-router":                               "drwxr-xr-x 65532/65532",
		"var/lib/atom-router":                           "drwxr-xr-x 65532/65532",
		"tmp":                                           "drwxr-xr-x 65532/65532",
	} {
		if owners[path] != want {
			t.Errorf("%s in the image is %q, want %q", path, owners[path], want)
		}
	}
	for path := range owners {
		if strings.HasPrefix(path, "bin/") || strings.HasPrefix(path, "lib") || strings.HasPrefix(path, "usr/bin") {
			t.Errorf("the image has %s", path)
		}
	}
}

// TestImagePlugins: the router in the image finds and starts each plugin.
func TestImagePlugins(t *testing.T) {
	needImage(t)
	for _, name := range []string{"docker", "kube", "process"} {
		if got := docker(t, "run", "--rm", "--network", "none", image, "plugin", "describe", name); !strings.HasPrefix(got, name+" ") {
			t.Errorf("plugin describe %s: %s", name, got)
		}
	}
}

// TestImageRunsJobs: a router in a container sends jobs to the Docker engine
// whose socket it was given.
func TestImageRunsJobs(t *testing.T) {
	needImage(t)
	socket := strings.TrimPrefix(testenv.Docker(t), "unix://")
	config := filepath.Join(t.TempDir(), "config.hcl")
	text := `
owner = "image-test"
backend "docker" {
  plugin = "docker"
}
default { backend = "docker" }
`
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	got, err := commandIn(ctx, root, "docker", "run", "--rm", "--network", "none", "--group-add", groupOf(t, socket),
		"-v", socket+":/var/run/docker.sock", "-v", config+":/etc/atom-router/config.hcl:ro",
		image, "run", testenv.Image(t), "--", "print", "hello", ";", "exit", "7")
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 7 || got != "hello" {
		t.Errorf("the job printed %q and ended with %v, want hello and exit code 7", got, err)
	}
}

// groupOf is the number of the group that a file is of.
func groupOf(t *testing.T, path string) string {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return strconv.FormatUint(uint64(info.Sys().(*syscall.Stat_t).Gid), 10)
}
