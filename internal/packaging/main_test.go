// Package packaging tests what is shipped: the release's archives, the
// container image, the systemd unit and the Kubernetes manifests, each where it
// is used.
package packaging

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/atom-router/atom-router/internal/testenv"
)

// root is the checkout's.
const root = "../.."

// made is what all tests look at: it is built once.
var made struct {
	once  sync.Once
	err   error
	dir   string // of all below
	dist  string // the release's files
	image bool
	top   string // where its archive for Linux is unpacked, as it unpacks
}

// image is the image of the same files.
var image = fmt.Sprintf("atom-router/atom-router:test-%d", os.Getpid())

func TestMain(m *testing.M) {
	code := m.Run()
	if made.dir != "" {
		os.RemoveAll(made.dir)
	}
	if made.image {
		if _, err := command(".", "docker", "image", "rm", image); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = max(code, 1)
		}
	}
	os.Exit(code)
}

// build makes the release for this machine's architecture, and where there is
// Docker the image of it. It returns where the archive is unpacked.
func build(t *testing.T) string {
	t.Helper()
	made.once.Do(func() {
		if made.dir, made.err = os.MkdirTemp("", "packaging"); made.err != nil {
			return
		}
		made.dist = filepath.Join(made.dir, "dist")
		target := "release"
		if os.Getenv(testenv.HostVariable) != "" && os.Getenv(testenv.ImageVariable) != "" {
			target, made.image = "image", true
		}
		if made.err = runMake(root, target, "DIST="+made.dist, "TARGETS=linux/"+runtime.GOARCH, "IMAGE="+image); made.err != nil {
			return
		}
		archives, err := filepath.Glob(filepath.Join(made.dist, "*.tar.gz"))
		if err != nil || len(archives) != 1 {
			made.err = fmt.Errorf("archives %q (%v), want one", archives, err)
			return
		}
		made.top = filepath.Join(made.dir, strings.TrimSuffix(filepath.Base(archives[0]), ".tar.gz"))
		_, made.err = command(made.dir, "tar", "-xzf", archives[0])
	})
	if made.err != nil {
		t.Fatal(made.err)
	}
	return made.top
}

// runMake runs make as somebody who types it: a make above has no say.
func runMake(dir string, args ...string) error {
	cmd := exec.Command("make", args...)
	cmd.Dir = dir
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "MAKE") && !strings.HasPrefix(v, "MFLAGS=") {
			cmd.Env = append(cmd.Env, v)
		}
	}
	text, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("make %s: %w\n%s", strings.Join(args, " "), err, text)
	}
	return err
}

// command runs a program and returns what it printed to stdout.
func command(dir, name string, args ...string) (string, error) {
	return commandIn(context.Background(), dir, name, args...)
}

func commandIn(ctx context.Context, dir, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	var errors strings.Builder
	cmd.Stderr = &errors
	text, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("%s %s: %w\n%s%s", name, strings.Join(args, " "), err, text, errors.String())
	}
	return strings.TrimSpace(string(text)), err
}

// must is command for what has to work.
func must(t *testing.T, name string, args ...string) string {
	t.Helper()
	text, err := command(root, name, args...)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
