// Package layering holds the imports between packages to the one way that
// they run: atom ← plugin ← router; atom, plugin ← plugins/*; cmd wires them.
package layering

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"regexp"
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

// TestLinked: programs are not linked with what they have no use for, as `make
// build` builds them. What is linked is initialised at each start, too.
func TestLinked(t *testing.T) {
	makefile, err := os.ReadFile("../../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	tags := regexp.MustCompile(`(?m)^TAGS := (.+)$`).FindSubmatch(makefile)
	if tags == nil {
		t.Fatal("the Makefile has no TAGS")
	}
	templates := "golang.org/x/net/trace"
	routers := []string{templates, "github.com/prometheus", "github.com/gdamore", "github.com/spf13/cobra", "github.com/hashicorp/hcl", "github.com/zclconf"}
	clientsets := []string{"k8s.io/client-go/kubernetes", "k8s.io/client-go/discovery", "k8s.io/client-go/informers", "k8s.io/client-go/applyconfigurations"}
	for program, forbidden := range map[string][]string{
		"./cmd/atom-router":                     {templates, "k8s.io/", "github.com/docker/docker"},
		"./plugins/process/atom-plugin-process": append(slices.Clone(routers), "k8s.io/", "github.com/docker/docker"),
		"./plugins/docker/atom-plugin-docker":   append(slices.Clone(routers), "k8s.io/"),
		"./plugins/kube/atom-plugin-kube":       slices.Concat(routers, clientsets, []string{"github.com/docker/docker"}),
	} {
		for _, p := range list(t, "-tags", string(tags[1]), program) {
			for _, dep := range p.Deps {
				for _, f := range forbidden {
					if strings.HasPrefix(dep, f) {
						t.Errorf("%s is linked with %s", program, dep)
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
