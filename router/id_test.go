package router

import (
	"errors"
	"strings"
	"testing"

	"github.com/containerd/errdefs"

	"github.com/atom-router/atom-router/atom"
)

func TestSplitID(t *testing.T) {
	for id, want := range map[string][2]string{
		"docker:3f9a":                  {"docker", "3f9a"},
		"gpu:ml/atom-7f3k/830d":        {"gpu", "ml/atom-7f3k/830d"},
		"edge:docker:3f9a":             {"edge", "docker:3f9a"},
		"a::":                          {"a", ":"},
		"Not A Name:é":                 {"Not A Name", "é"},
		"a:" + long(atom.MaxIDBytes-2): {"a", long(atom.MaxIDBytes - 2)},
	} {
		backend, native, err := splitID(id)
		if err != nil || backend != want[0] || native != want[1] {
			t.Errorf("splitID(%q) = %q, %q, %v; want %q", id, backend, native, err, want)
		}
	}
}

func long(n int) string { return strings.Repeat("x", n) }

// malformed IDs, and what the message must say.
var malformed = map[string]string{
	"":                       "is empty",
	"docker":                 "no ':'",
	":3f9a":                  "names no backend",
	"docker:":                "names no atom",
	"docker:\x00":            "control characters",
	"docker:a\nb":            "control characters",
	"docker:\xff":            "invalid UTF-8",
	"docker:" + long(10<<10): "10247 bytes long",
	long(10 << 10):           "10240 bytes long",
	long(500):                "no ':'",
}

func TestMalformedID(t *testing.T) {
	e := newEngine(t, Config{Backends: backends(&fake{}), Default: Rule{Tiers: tiers("a")}})
	for id, want := range malformed {
		_, err := e.Get(&atom.EngineGetRequest{ID: id})
		if !errdefs.IsInvalidArgument(err) || !strings.Contains(err.Error(), want) {
			t.Errorf("Get(%.40q): %v; want InvalidArgument with %q", id, err, want)
		}
		var field *atom.FieldError
		if !errors.As(err, &field) || field.Field != "id" {
			t.Errorf("Get(%.40q): no FieldError of id in %v", id, err)
		}
		if len(err.Error()) > 250 {
			t.Errorf("Get(%.40q): message of %d bytes: %v", id, len(err.Error()), err)
		}
	}
}

func TestUnknownBackend(t *testing.T) {
	bs := backends(&fake{}, &fake{})
	bs[0].Name, bs[1].Name, bs[1].Aliases = "docker", "gpu", []string{"cuda"}
	e := newEngine(t, Config{Backends: bs, Default: Rule{Tiers: tiers("docker")}})
	for id, want := range map[string]string{
		"dokcer:1": `get dokcer:1: there is no backend "dokcer"; did you mean "docker"?`,
		"zzz:1":    `get zzz:1: there is no backend "zzz"; the backends are docker, gpu`,
		"Docker:1": `get Docker:1: there is no backend "Docker"; did you mean "docker"?`,
	} {
		_, err := e.Get(&atom.EngineGetRequest{ID: id})
		if !errdefs.IsNotFound(err) || err.Error() != want {
			t.Errorf("Get(%q): %v; want NotFound: %s", id, err, want)
		}
	}
}

func TestAlias(t *testing.T) {
	bs := backends(&fake{})
	bs[0].Aliases = []string{"old"}
	e := newEngine(t, Config{Backends: bs, Default: Rule{Tiers: tiers("a")}})
	made, err := e.Create(&atom.EngineCreateRequest{Image: "x"})
	if err != nil {
		t.Fatal(err)
	}
	a, err := e.Get(&atom.EngineGetRequest{ID: "old:" + strings.TrimPrefix(made.ID(), "a:")})
	if err != nil || a.ID() != made.ID() {
		t.Errorf("by the alias: %v, %v; want %s", a, err, made.ID())
	}
	if a.Engine() != atom.Engine(e) {
		t.Errorf("Engine() = %T, not the router", a.Engine())
	}
}

func FuzzParseID(f *testing.F) {
	for id := range malformed {
		f.Add(id)
	}
	for _, id := range []string{"docker:3f9a", "gpu:ml/a/b", "edge:docker:1", "é:ü", "a:b\u2028c"} {
		f.Add(id)
	}
	f.Fuzz(func(t *testing.T, id string) {
		backend, native, err := splitID(id)
		if err != nil {
			if !errdefs.IsInvalidArgument(err) {
				t.Errorf("%v is not InvalidArgument", err)
			}
			if len(err.Error()) > 600 { // 64 bytes, quoted, and the text around them
				t.Errorf("message of %d bytes", len(err.Error()))
			}
			return
		}
		if backend == "" || native == "" || strings.Contains(backend, ":") {
			t.Errorf("splitID(%q) = %q, %q", id, backend, native)
		}
		if again := joinID(backend, native); again != id {
			t.Errorf("joinID = %q, want %q", again, id)
		}
	})
}
