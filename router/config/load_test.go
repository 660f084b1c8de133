package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/router"
)

func ptr[T any](v T) *T { return &v }

func patterns(t *testing.T, ss ...string) []router.Pattern {
	t.Helper()
	var list []router.Pattern
	for _, s := range ss {
		p, err := router.ParsePattern(s)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, p)
	}
	return list
}

// TestLoad reads a file with everything in it.
func TestLoad(t *testing.T) {
	got, err := Load("testdata/everything.hcl")
	if err != nil {
		t.Fatal(err)
	}
	one := func(b string) []router.Target { return []router.Target{{Backend: b, Weight: 1}} }
	want := router.Config{
		Owner:      "fleet-a",
		PluginDirs: []string{"testdata/bin", "/opt/plugins"},
		Backends: []router.Backend{
			{
				Name: "docker", Plugin: "docker", Aliases: []string{"old-name"}, SHA256: strings.Repeat("0a", 32),
				Env: []string{"HTTPS_PROXY"}, MaxAtoms: 200, Retention: 24 * time.Hour,
			},
			{Name: "gpu", Plugin: "kube", Drain: true},
			{Name: "gpu-b", Plugin: "kube"},
		},
		Rules: []router.Rule{
			{
				Name: "docker-socket", Reject: "mounting the Docker socket is not allowed",
				Match: router.Match{MountSource: patterns(t, "/var/run/docker.sock", "/run/docker.sock")},
			},
			{
				Name: "cuda",
				Match: router.Match{
					Image:  patterns(t, "*/cuda:*", "nvidia/*"),
					Labels: map[string][]router.Pattern{"team": patterns(t, "ml*"), "a/b": patterns(t, "x", "y")},
				},
				Tiers: []router.Tier{
					{Targets: []router.Target{{Backend: "gpu", Weight: 3}, {Backend: "gpu-b", Weight: 1}}},
					{Targets: one("docker"), On: []router.Cause{router.Unavailable, router.Full}},
				},
				AllowDuplicates: true,
			},
			{
				Name: "all-matchers",
				Match: router.Match{
					Name: patterns(t, "n"), Image: patterns(t, "i"), Command: patterns(t, "c"), Entrypoint: patterns(t, "e"),
					User: patterns(t, "u"), WorkDir: patterns(t, "w"), Pull: patterns(t, "always"),
					Env:       map[string][]router.Pattern{"K": patterns(t, "v")},
					MountType: patterns(t, "bind"), MountSource: patterns(t, "/s"), MountTarget: patterns(t, "/t"),
					CPUMin: ptr(0.5), CPUMax: ptr(2.0), MemoryMin: ptr(int64(512 << 20)), MemoryMax: ptr(int64(64 << 30)),
					GPUsMin: ptr(1), GPUsMax: ptr(8),
					Not: []router.Match{{User: patterns(t, "root")}, {Name: patterns(t, "re:^x"), Not: []router.Match{{Image: patterns(t, "y")}}}},
				},
				Tiers: []router.Tier{{Targets: one("docker")}},
			},
			{Name: "rest", Tiers: []router.Tier{{Targets: one("docker")}}},
		},
		Default: router.Rule{Reject: "no rule matched"},
	}
	if got.Rules[1].When == nil || got.Rules[1].When.String() != "resources.gpus >= 1" {
		t.Errorf("when is %v", got.Rules[1].When)
	}
	got.Rules[1].When = nil
	for i := range got.Backends {
		if got.Backends[i].Settings == nil {
			t.Errorf("backend %d has no Settings", i)
		}
		got.Backends[i].Settings = nil
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(router.Match{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestExampleConfig(t *testing.T) {
	f, ds := Read("../../examples/config.hcl")
	if len(ds) > 0 {
		t.Fatalf("the example is wrong:\n%s", render(t, ds, false))
	}
	if dirs := f.Config.PluginDirs; len(dirs) != 1 || dirs[0] != "../../bin" {
		t.Errorf("plugins are looked for in %q", dirs)
	}
}

func TestUnreadable(t *testing.T) {
	dir := t.TempDir()
	huge := filepath.Join(dir, "huge.hcl")
	if err := os.WriteFile(huge, make([]byte, maxBytes+1), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		filepath.Join(dir, "none.hcl"): "there is no such file",
		dir:                            "this is a directory",
		huge:                           "more than 1048576 bytes",
		"/dev/zero":                    "more than 1048576 bytes",
		huge + "/x":                    "not a directory",
	} {
		_, err := Load(path)
		var ds Diagnostics
		if !errors.As(err, &ds) || !strings.Contains(err.Error(), want) || !errdefs.IsInvalidArgument(err) {
			t.Errorf("%s: got %v, want %q", path, err, want)
			continue
		}
		text := string(render(t, ds, false))
		if !strings.Contains(text, "\n  on "+path+"\n") || ds[0].Range.Start.Line != 1 {
			t.Errorf("%s: it does not say where:\n%s", path, text)
		}
	}
}

// TestDeep: what would exhaust the stack, which no program survives, is
// refused.
func TestDeep(t *testing.T) {
	const n = 1 << 14
	for name, src := range map[string]string{
		"parentheses": "owner = " + strings.Repeat("(", n),
		"blocks":      strings.Repeat("a {\n", n),
		"not":         "owner = " + strings.Repeat("!", n) + "true",
		"minus":       "owner = (" + strings.Repeat("-\n", n) + "1)",
		"plus":        "owner = " + strings.Repeat("1+", n) + "1",
		"calls":       "owner = " + strings.Repeat("f(1, 2)+", n) + "1",
		"conditions":  "owner = " + strings.Repeat("1?1:", n) + "1",
		"indexes":     "owner = a" + strings.Repeat("[b]", n),
		"splats":      "owner = a" + strings.Repeat("[*].b", n),
		"templates":   "owner = " + strings.Repeat("\"${", n),
	} {
		if _, ds := Parse("c.hcl", []byte(src)); len(ds) != 1 || ds[0].Summary != "this is nested too deeply" {
			t.Errorf("%s: got %v", name, ds)
		}
	}
}

func TestManyMistakes(t *testing.T) {
	_, ds := Parse("c.hcl", []byte(strings.Repeat("rul \"x\" {}\n", 500)))
	if last := ds[len(ds)-1]; len(ds) != maxDiagnostics+1 || last.Summary != "401 more mistakes follow" || last.Range.Start.Line != maxDiagnostics {
		t.Errorf("%d diagnostics, the last %q in line %d", len(ds), last.Summary, last.Range.Start.Line)
	}
}

func TestWarningsAreNoError(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.hcl")
	src := "backend \"a\" { plugin = \"a\" }\nbackend \"b\" { plugin = \"a\" }\ndefault { backend = \"a\" }\n"
	if err := os.WriteFile(path, []byte(src), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(path); err != nil {
		t.Error(err)
	}
	if _, ds := Read(path); len(ds) != 1 || ds[0].Severity != router.SeverityWarning || !NewReport(ds).Valid {
		t.Errorf("got %v", ds)
	}
}

func TestFileCheckCapabilities(t *testing.T) {
	f, ds := Parse("c.hcl", []byte("backend \"a\" { plugin = \"a\" }\nrule \"r\" {\n  match {\n    gpus_min = 1\n  }\n  backend = \"a\"\n}\n"))
	if len(ds) > 0 {
		t.Fatal(ds)
	}
	got := f.CheckCapabilities(func(string) (atom.Capabilities, bool) { return nil, true })
	golden(t, "testdata/capabilities.golden", render(t, got, false))
}

func TestFind(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	t.Setenv("XDG_CONFIG_HOME", filepath.Join(dir, "xdg"))
	t.Setenv(PathVariable, "")
	write := func(path string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	find := func(flag, want string) {
		t.Helper()
		if got, err := Find(flag); err != nil || got != want {
			t.Errorf("got %q, %v; want %q", got, err, want)
		}
	}
	if _, err := os.Stat("/etc/atom-router/config.hcl"); err != nil {
		_, err := Find("")
		if !errdefs.IsNotFound(err) {
			t.Fatalf("got %v", err)
		}
		for _, want := range []string{"$ATOM_ROUTER_CONFIG", "atom-router.hcl", dir + "/xdg/atom-router/config.hcl", "/etc/atom-router/config.hcl", "backend \"local\""} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%q is not in: %v", want, err)
			}
		}
	}
	xdg := filepath.Join(dir, "xdg/atom-router/config.hcl")
	write(xdg)
	find("", xdg)
	write("atom-router.hcl")
	find("", "atom-router.hcl")
	t.Setenv(PathVariable, "elsewhere.hcl")
	find("", "elsewhere.hcl")
	find("flag.hcl", "flag.hcl")
}

func TestSizes(t *testing.T) {
	for in, want := range map[string]int64{
		"0": 0, "1024": 1024, "1b": 1, "1k": 1 << 10, "512MiB": 512 << 20, "64Gi": 64 << 30, "1g": 1 << 30, "1.5G": 3 << 29,
		" 2 mb ": 2 << 20, "1TiB": 1 << 40, "1e3": 1000,
		"": -1, "g": -1, "-1": -1, "1x": -1, "1gig": -1, "1 2": -1, "nan": -1, "inf": -1, "99999999999g": -1, "0x10": -1,
	} {
		got, err := ParseMemory(in)
		if want < 0 != (err != nil) || err == nil && got != want {
			t.Errorf("memory %q: %d, %v; want %d", in, got, err, want)
		}
	}
	for in, want := range map[string]float64{
		"2": 2, "0.5": 0.5, "500m": 0.5, "1500m": 1.5, "0": 0,
		"": -1, "m": -1, "-1": -1, "two": -1, "nan": -1, "inf": -1, "1k": -1,
	} {
		got, err := ParseCPU(in)
		if want < 0 != (err != nil) || err == nil && got != want {
			t.Errorf("cpu %q: %v, %v; want %v", in, got, err, want)
		}
	}
}

// FuzzLoad: no text makes the loader panic, and every mistake has a place in
// the text and can be shown.
func FuzzLoad(f *testing.F) {
	for _, glob := range []string{"testdata/bad/*.hcl", "testdata/*.hcl", "../../examples/*.hcl"} {
		files, err := filepath.Glob(glob)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range files {
			src, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			if len(src) < 8<<10 {
				f.Add(src)
			}
		}
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		file, ds := Parse("config.hcl", src)
		for _, d := range ds {
			if d.Range.Filename != "config.hcl" || d.Range.Start.Byte < 0 || d.Range.Start.Byte > len(src) || d.Summary == "" {
				t.Errorf("%q has no place: %v", d.Summary, d.Range)
			}
			for _, e := range d.source.excerpts(d.Range) {
				if e.from < 0 || e.to <= e.from || e.to > e.from+maxWidth+2 || strings.ContainsAny(e.line, "\x00\x1b\r\n\t") {
					t.Errorf("%q is shown as %+v", d.Summary, e)
				}
			}
		}
		render(t, ds, true)
		if len(ds.Errors()) > 0 {
			return
		}
		for _, r := range file.Config.Rules {
			if r.When != nil {
				_, _ = r.When.Eval(job())
			}
			r.Match.Holds(job())
		}
		for _, b := range file.Config.Backends {
			_, _ = b.Settings.Decode(schema())
		}
	})
}
