package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/plugin"
)

func typed(t string) json.RawMessage { return json.RawMessage(t) }

// schema is that of a plugin with one of everything.
func schema() plugin.Schema {
	return plugin.Schema{
		Attributes: []plugin.Attribute{
			{Name: "host", Type: typed(`"string"`), Default: "unix:///var/run/docker.sock"},
			{Name: "qps", Type: typed(`"number"`), Doc: "Requests a second"},
			{Name: "debug", Type: typed(`"bool"`)},
			{Name: "hosts", Type: typed(`["list","string"]`)},
			{Name: "labels", Type: typed(`["map","string"]`)},
			{Name: "limits", Type: typed(`["list",["object",{"name":"string","n":"number"}]]`)},
			{Name: "password", Type: typed(`"string"`), Sensitive: true},
		},
		Blocks: []plugin.Block{
			{Type: "tls", Schema: plugin.Schema{Attributes: []plugin.Attribute{
				{Name: "ca", Type: typed(`"string"`), Required: true, Doc: "The file with the authority's certificate"},
				{Name: "key", Type: typed(`"string"`), Sensitive: true},
			}}},
			{Type: "registry_auth", Labels: []string{"server"}, Repeated: true, Schema: plugin.Schema{Attributes: []plugin.Attribute{
				{Name: "user", Type: typed(`"string"`)},
				{Name: "password", Type: typed(`"string"`), Sensitive: true},
			}}},
		},
	}
}

// settingsOf are those of a config file with the given config block.
func settingsOf(t testing.TB, name, config string) *settings {
	t.Helper()
	src := "backend \"a\" {\n  plugin = \"a\"\n" + config + "}\ndefault { backend = \"a\" }\n"
	f, ds := Parse(name, []byte(src))
	if len(ds) > 0 {
		t.Fatalf("%s: %s", name, render(t, ds, false))
	}
	return f.Config.Backends[0].Settings.(*settings)
}

func TestDecode(t *testing.T) {
	t.Setenv("ATOM_TEST_HOST", "tcp://x")
	s := settingsOf(t, "config.hcl", `  config {
    host   = getenv("ATOM_TEST_HOST")
    qps    = "200"
    debug  = true
    hosts  = ["a", "b"]
    labels = { a = 1, "b/c" = "d" }
    limits = [{ name = "x", n = 1.5 }]
    tls {
      ca = "ca.pem"
    }
    registry_auth "ghcr.io" {
      user     = "me"
      password = try(getenv("ATOM_TEST_NONE"), "")
    }
    registry_auth "quay.io" {
      user = null
    }
  }
`)
	raw, err := s.Decode(schema())
	if err != nil {
		t.Fatal(err)
	}
	var got any
	if err := json.Unmarshal(raw, &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"host": "tcp://x", "qps": 200.0, "debug": true, "hosts": []any{"a", "b"},
		"labels": map[string]any{"a": "1", "b/c": "d"},
		"limits": []any{map[string]any{"name": "x", "n": 1.5}},
		"tls":    map[string]any{"ca": "ca.pem"},
		"registry_auth": []any{
			map[string]any{"server": "ghcr.io", "user": "me", "password": ""},
			map[string]any{"server": "quay.io"},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, none := range []string{"", "  config {}\n"} {
		if raw, err := settingsOf(t, "config.hcl", none).Decode(schema()); err != nil || string(raw) != "{}" {
			t.Errorf("config %q: %s, %v", none, raw, err)
		}
	}
}

// secret is a value that no output may show.
const secret = "hunter2"

// TestSettingsMistakes shows each file of testdata/settings, a config block,
// to be wrong, in the words of its golden file.
func TestSettingsMistakes(t *testing.T) {
	files, err := filepath.Glob("testdata/settings/*.hcl")
	if err != nil || len(files) == 0 {
		t.Fatal(len(files), err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".hcl")
		t.Run(name, func(t *testing.T) {
			src, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			s := schema()
			if strings.HasPrefix(name, "missing") {
				s.Attributes[0].Required = true
				s.Blocks[0].Required = true
			}
			_, err = settingsOf(t, name+".hcl", string(src)).Decode(s)
			var ds Diagnostics
			if !errors.As(err, &ds) || !errdefs.IsInvalidArgument(err) {
				t.Fatalf("got %v", err)
			}
			text := render(t, ds, false)
			data, err := json.Marshal(ds)
			if err != nil {
				t.Fatal(err)
			}
			if bytes.Contains(text, []byte(secret)) || bytes.Contains(data, []byte(secret)) || strings.Contains(ds.Error(), secret) {
				t.Errorf("a sensitive value is shown:\n%s", text)
			}
			golden(t, strings.TrimSuffix(file, ".hcl")+".golden", text)
		})
	}
}

func TestExplain(t *testing.T) {
	s := settingsOf(t, "config.hcl", `  config {
    host   = "nonsense"
    hosts  = ["ok", "bad"]
    limits = [{ name = "x", n = 1 }, { name = "y", n = -1 }]
    registry_auth "a" {
      user = "me"
    }
    registry_auth "b" {
      password = "hunter2"
    }
    tls {
      ca = "ca.pem"
    }
  }
`)
	if _, err := s.Decode(plugin.Schema{}); err == nil {
		t.Error("a schema without attributes takes them all")
	}
	if _, err := s.Decode(schema()); err != nil {
		t.Fatal(err)
	}
	field := func(path string) error { return &atom.FieldError{Field: path, Reason: "is wrong"} }
	err := s.Explain(fmt.Errorf("configure: %w", errors.Join(
		field("host"), field("hosts[1]"), field("limits[1].n"), field("registry_auth[1].password"),
		field("registry_auth[0].password"), field("registry_auth[0]"), field("tls.ca"), field("qps"),
	)))
	var ds Diagnostics
	if !errors.As(err, &ds) || !errdefs.IsInvalidArgument(err) {
		t.Fatalf("got %v", err)
	}
	text := render(t, ds, false)
	if bytes.Contains(text, []byte(secret)) {
		t.Error("a value is shown that may be sensitive")
	}
	golden(t, "testdata/explain.golden", text)

	plain := errors.New("no daemon")
	if got := s.Explain(plain); got != plain {
		t.Errorf("an error without fields became %v", got)
	}
	if got := s.Explain(nil); got != nil {
		t.Errorf("nil became %v", got)
	}
}

func TestSettingsEqual(t *testing.T) {
	t.Setenv("ATOM_TEST_HOST", "h")
	same := `config {
  host = "h"
  tls { ca = "x" }
}
`
	for text, want := range map[string]bool{
		same: true,
		"config { # a comment\n  tls {\n    ca = \"x\"\n  }\n  host = getenv(\"ATOM_TEST_HOST\")\n}": true,
		"config {\n  host = \"other\"\n  tls { ca = \"x\" }\n}":                                      false,
		"config {\n  host = \"h\"\n}":                                                                false,
		"config {\n  host = \"h\"\n  tls { ca = \"y\" }\n}":                                          false,
		"config {\n  host = \"h\"\n  tls { ca = \"x\" }\n  tls { ca = \"x\" }\n}":                    false,
		"config {\n  host = \"h\"\n  port = 1\n  tls { ca = \"x\" }\n}":                              false,
		"": false,
	} {
		a, b := settingsOf(t, "a.hcl", same), settingsOf(t, "b.hcl", strings.TrimSuffix(text, "\n")+"\n")
		if a.Equal(b) != want || b.Equal(a) != want {
			t.Errorf("%s\nis equal: %v, want %v", text, !want, want)
		}
	}
}

func TestReadSettings(t *testing.T) {
	path := filepath.Join(t.TempDir(), "docker.hcl")
	for text, want := range map[string]string{
		"":                                   "{}",
		" \n":                                "{}",
		"# nothing\n":                        "{}",
		"host = \"h\"\ntls { ca = \"x\" }\n": `{"host":"h","tls":{"ca":"x"}}`,
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		s, ds := ReadSettings(path)
		if len(ds) > 0 {
			t.Errorf("%q: %v", text, ds)
			continue
		}
		if got, err := s.Decode(schema()); err != nil || string(got) != want {
			t.Errorf("%q: %s, %v; want %s", text, got, err, want)
		}
	}
	if err := os.WriteFile(path, []byte("host = "), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, ds := ReadSettings(path); len(ds) == 0 || ds[0].Range.Filename != path {
		t.Errorf("half a setting: %v", ds)
	}
	if _, ds := ReadSettings(path + ".none"); len(ds) != 1 || !strings.Contains(ds[0].Summary, "no such file") {
		t.Errorf("no file: %v", ds)
	}
}
