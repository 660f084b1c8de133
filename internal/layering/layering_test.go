// Package layering holds the imports between packages to the one way that
// they run: atom ← plugin ← router; atom, plugin ← plugins/*; cmd wires them.
package layering

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/atom-router/atom-router/"

// pkg is what `go list -json` tells of a package.
type pkg struct {
	ImportPath string
	Standard   bool
	Imports    []string
	Deps       []string
}

func list(t *testing.T, patterns ...string) []pkg {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list", "-json=ImportPath,Standard,Imports,Deps"}, patterns...)...)
	cmd.Dir = "../.."
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	var pkgs []pkg
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return pkgs
		} else if err != nil {
			t.Fatal(err)
		}
		pkgs = append(pkgs, p)
	}
}

// TestHeavyDependencies: what schedulers and authors import does not bring
// along the clients of engines they do not use.
func TestHeavyDependencies(t *testing.T) {
	banned := []string{"k8s.io/", "github.com/docker/docker", "github.com/spf13/cobra"}
	hcl := "github.com/hashicorp/hcl"
	// They are told of by hooks.
	telemetry := []string{"github.com/prometheus", "go.opentelemetry.io"}
	for pattern, forbidden := range map[string][]string{
		"./atom":           append(slices.Clone(banned), hcl, "google.golang.org/grpc", "github.com/hashicorp"),
		"./atom/container": append(slices.Clone(banned), hcl, "google.golang.org/grpc", "github.com/hashicorp"),
		"./plugin/...":     slices.Concat(banned, telemetry, []string{hcl}),
		"./router":         slices.Concat(banned, telemetry, []string{hcl}),
		"./router/config":  slices.Concat(banned, telemetry),
	} {
		for _, p := range list(t, pattern) {
			for _, dep := range p.Deps {
				for _, f := range forbidden {
					if strings.HasPrefix(dep, f) {
						t.Errorf("%s depends on %s", p.ImportPath, dep)
					}
				}
			}
		}
	}
}

// TestOneWay: a package imports those of this module only that stand before
// it.
func TestOneWay(t *testing.T) {
	allowed := map[string][]string{
		"atom":    {"atom"},
		"plugin":  {"atom", "plugin", "internal/wire"},
		"plugins": {"atom", "plugin", "plugins", "internal/backoff"},
		"router":  {"atom", "plugin", "router", "internal/wire", "internal/rendezvous", "internal/backoff"},
	}
	for _, p := range list(t, "./...") {
		path := strings.TrimPrefix(p.ImportPath, module)
		top, _, _ := strings.Cut(path, "/")
		may, bound := allowed[top]
		if !bound {
			continue
		}
		for _, imported := range p.Imports {
			ours, ok := strings.CutPrefix(imported, module)
			if !ok {
				continue
			}
			if ours == "internal/tracing" && top == "plugins" && strings.HasPrefix(path[strings.LastIndex(path, "/")+1:], "atom-plugin-") {
				continue // main functions set it up
			}
			first, _, _ := strings.Cut(ours, "/")
			if !slices.Contains(may, first) && !slices.Contains(may, ours) {
				t.Errorf("%s imports %s", path, ours)
			}
			if top == "plugins" && first == "plugins" && !sameEngine(path, ours) {
				t.Errorf("%s imports another engine, %s", path, ours)
			}
		}
	}
}

// TestContractIsSmall: package atom needs the standard library and errdefs.
func TestContractIsSmall(t *testing.T) {
	for _, p := range list(t, "-deps", "./atom", "./atom/container") {
		if !p.Standard && !strings.HasPrefix(p.ImportPath, module+"atom") && p.ImportPath != "github.com/containerd/errdefs" {
			t.Errorf("atom depends on %s", p.ImportPath)
		}
	}
}

func sameEngine(a, b string) bool {
	return strings.Split(a, "/")[1] == strings.Split(b, "/")[1]
}
