// Package examples holds the tests of the examples, which are modules and
// programs of their own.
package examples

import (
	"bytes"
	"debug/buildinfo"
	"encoding/json"
	"go/parser"
	"go/scanner"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"

	"github.com/atom-router/atom-router/atom/atomtest"
	"github.com/atom-router/atom-router/internal/exam"
	"github.com/atom-router/atom-router/plugin"
)

// maxLines is how many lines of code an engine takes at the most.
const maxLines = 60

const module = "github.com/atom-router/atom-router"

// buildGo builds the example as its README says, and returns the binary. Its
// go.mod and go.sum may lag behind the main module's for the time of a change:
// lint says so, and this test goes on with copies.
func buildGo(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"go.mod", "go.sum"} {
		text, err := os.ReadFile(filepath.Join("plugin-go", name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	binary := filepath.Join(dir, "atom-plugin-child")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-modfile", filepath.Join(dir, "go.mod"), "-o", binary, ".")
	cmd.Dir = "plugin-go"
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-mod=mod")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return binary
}

// launch starts a plugin and configures it.
func launch(t *testing.T, config string, o plugin.LaunchOptions) *plugin.Process {
	t.Helper()
	p, err := plugin.Launch(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := p.Configure(t.Context(), []byte(config)); err != nil {
		t.Fatal(err)
	}
	return p
}

// TestMain: a test binary is also the program that atoms of the exam run.
func TestMain(m *testing.M) {
	atomtest.RunProbe()
	os.Exit(m.Run())
}

// examine puts a plugin through the whole exam, as `atom-router plugin test`
// does: what it promises of its engine, and what every plugin's process keeps.
func examine(t *testing.T, binary string) {
	t.Helper()
	report, err := exam.Run(t.Context(), exam.Options{Command: []string{binary}})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range report.Results {
		if r.Outcome == exam.Fail {
			t.Errorf("%s: %s: %v", r.Part, r.Promise, r.Err)
		}
	}
	if report.Left != nil {
		t.Errorf("left behind: %v", report.Left)
	}
	t.Logf("%d promises: %d kept, %d not claimed", len(report.Results), report.Count(exam.Pass), report.Count(exam.NotClaimed))
	if report.Count(exam.Pass) < 150 {
		t.Error("that is no exam")
	}
}

func TestGoPlugin(t *testing.T) {
	t.Parallel() // one promise of an exam waits for half a minute
	binary := buildGo(t)
	t.Run("passes the exam", func(t *testing.T) { examine(t, binary) })
	t.Run("logs to its host", func(t *testing.T) {
		var log bytes.Buffer
		p := launch(t, `{"dir": "/tmp"}`, plugin.LaunchOptions{Path: binary, Logger: hclog.New(&hclog.LoggerOptions{Output: &log})})
		p.Close() // its stderr has then been read to the end
		if want := "[INFO]  atom-plugin-child: atoms are children of this process: dir=/tmp"; !strings.Contains(log.String(), want) {
			t.Errorf("the log is %q, want %q in it", log.String(), want)
		}
	})
	t.Run("is light", func(t *testing.T) { isLight(t, binary) })
}

// isLight: an engine over package plugin brings neither Docker's nor
// Kubernetes' client along.
func isLight(t *testing.T, binary string) {
	t.Helper()
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		t.Fatal(err)
	}
	seen := false
	for _, dep := range info.Deps {
		seen = seen || dep.Path == module
		if heavy(dep.Path) {
			t.Errorf("the binary holds %s", dep.Path)
		}
	}
	if !seen {
		t.Errorf("the binary does not hold %s: its build info has %d modules", module, len(info.Deps))
	}
	out, err := exec.CommandContext(t.Context(), "go", "tool", "nm", binary).Output()
	if err != nil {
		t.Fatalf("go tool nm: %v", err)
	}
	if !bytes.Contains(out, []byte(module+"/plugin/driver.")) {
		t.Error("the binary's symbols do not name plugin/driver")
	}
	for line := range strings.Lines(string(out)) {
		if heavy(line) {
			t.Fatalf("the binary holds %s", line)
		}
	}
}

// heavy tells a module path or a symbol of an engine's client.
func heavy(name string) bool {
	for _, path := range []string{"github.com/docker/", "github.com/moby/", "k8s.io/", module + "/plugins/", module + "/router"} {
		if strings.Contains(name, path) {
			return true
		}
	}
	return false
}

func TestGoPluginIsSmall(t *testing.T) {
	sources, err := filepath.Glob("plugin-go/*.go")
	if err != nil || len(sources) == 0 {
		t.Fatalf("%d sources, %v", len(sources), err)
	}
	lines := 0
	for _, name := range sources {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		lines += linesOfCode(text)
		file, err := parser.ParseFile(token.NewFileSet(), name, text, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range file.Imports {
			path, _ := strconv.Unquote(i.Path.Value)
			rest, ours := strings.CutPrefix(path, module+"/")
			top, _, _ := strings.Cut(rest, "/")
			if first, _, _ := strings.Cut(path, "/"); strings.Contains(first, ".") && (!ours || top != "atom" && top != "plugin") {
				t.Errorf("%s imports %s", name, path)
			}
		}
	}
	if lines == 0 || lines > maxLines {
		t.Errorf("it has %d lines of code, more than %d", lines, maxLines)
	}
	t.Logf("%d lines of code", lines)
}

// linesOfCode counts the lines that hold more than comments and blanks.
func linesOfCode(text []byte) int {
	fset := token.NewFileSet()
	file := fset.AddFile("", -1, len(text))
	var s scanner.Scanner
	s.Init(file, text, nil, 0)
	lines := make(map[int]bool)
	for {
		pos, tok, _ := s.Scan()
		if tok == token.EOF {
			return len(lines)
		}
		lines[file.Line(pos)] = true
	}
}

// TestGoPluginRequiresOneModule: what its go.mod asks for itself is this
// module; the rest is what that needs.
func TestGoPluginRequiresOneModule(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "go", "mod", "edit", "-json")
	cmd.Dir = "plugin-go"
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var mod struct {
		Require []struct {
			Path     string
			Indirect bool
		}
	}
	if err := json.Unmarshal(out, &mod); err != nil {
		t.Fatal(err)
	}
	var direct []string
	for _, r := range mod.Require {
		if !r.Indirect {
			direct = append(direct, r.Path)
		}
		if heavy(r.Path) {
			t.Errorf("it requires %s", r.Path)
		}
	}
	if len(direct) != 1 || direct[0] != module {
		t.Errorf("it requires %v, want %s alone", direct, module)
	}
}
