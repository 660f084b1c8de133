package router

import (
	"strings"
	"testing"

	"github.com/distribution/reference"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/atom/container"
)

func ptr[T any](v T) *T { return &v }

func request() *atom.EngineCreateRequest {
	return &atom.EngineCreateRequest{
		Name: "train", Image: "alpine:3", Command: []string{"sh", "-c", "echo hi"},
		Spec: container.Spec{
			Env: map[string]string{"PIN": "s3cret"}, WorkDir: "/srv", User: "root",
			Entrypoint: []string{"/bin/env", "-i"},
			Labels:     map[string]string{"team": "ml-a"},
			Mounts: []container.Mount{
				{Type: container.MountTypeBind, Source: "/var//run/./docker.sock", Target: "/sock"},
				{Type: container.MountTypeTmpfs, Target: "/tmp/"},
			},
			Resources: container.Resources{CPU: 1.5, Memory: 1 << 30, GPUs: 2},
		},
	}
}

func TestMatch(t *testing.T) {
	p := func(ss ...string) []Pattern { return patternList(t, ss...) }
	for _, c := range []struct {
		name  string
		match Match
		// why is part of the reason where it does not hold; "" where it does.
		why string
	}{
		{"empty", Match{}, ""},
		{"name", Match{Name: p("tr*")}, ""},
		{"not name", Match{Name: p("x", "y")}, `name "train" matches none of "x", "y"`},
		{"image", Match{Image: p("*/cuda:*", "alpine:*")}, ""},
		{"not image", Match{Image: p("*/cuda:*")}, `image "alpine:3" matches none of "*/cuda:*"`},
		{"image in full", Match{Image: p("docker.io/library/alpine:3")}, ""},
		{"within an image", Match{Image: p("*pin*")}, ""},
		{"end of an image", Match{Image: p("*ary/alpine:3")}, ""},
		{"command", Match{Command: p("sh -c echo*")}, ""},
		{"entrypoint", Match{Entrypoint: p("/bin/env -i")}, ""},
		{"user", Match{User: p("root")}, ""},
		{"workdir", Match{WorkDir: p("/srv")}, ""},
		{"pull", Match{Pull: p("if-not-present")}, ""},
		{"not pull", Match{Pull: p("always")}, "pull"},
		{"label", Match{Labels: map[string][]Pattern{"team": p("ml*")}}, ""},
		{"not label", Match{Labels: map[string][]Pattern{"team": p("ops")}}, `label "team" is "ml-a"`},
		{"no label", Match{Labels: map[string][]Pattern{"zone": p("*")}}, `label "zone" is not set`},
		{"env", Match{Env: map[string][]Pattern{"PIN": p("s3*")}}, ""},
		{"not env", Match{Env: map[string][]Pattern{"PIN": p("x")}}, `env "PIN" matches none of "x"`},
		{"mount source", Match{MountSource: p("/var/run/docker.sock")}, ""},
		{"mount target", Match{MountTarget: p("/tmp")}, ""},
		{"one mount", Match{MountType: p("bind"), MountTarget: p("/sock")}, ""},
		{"two mounts", Match{MountType: p("bind"), MountTarget: p("/tmp")}, `no mount matches type "bind" and target "/tmp"`},
		{"bounds", Match{CPUMin: ptr(1.5), CPUMax: ptr(1.5), MemoryMin: ptr(int64(1)), GPUsMax: ptr(2)}, ""},
		{"too little", Match{GPUsMin: ptr(3)}, "gpus 2 is less than 3"},
		{"too much", Match{MemoryMax: ptr(int64(1))}, "memory 1073741824 is more than 1"},
		{"not", Match{Not: []Match{{User: p("nobody")}, {Name: p("y")}}}, ""},
		{"not not", Match{Not: []Match{{User: p("root")}}}, `not: user "root" matches "root"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := viewOf(request())
			var why reasons
			holds, told := c.match.holds(&v, nil), c.match.holds(&v, &why)
			if holds != (c.why == "") || told != holds || c.match.Holds(request()) != holds {
				t.Fatalf("holds: %v, with reasons %v: %s", holds, told, why.String())
			}
			if !strings.Contains(why.String(), c.why) {
				t.Errorf("it says %q, want %q", why.String(), c.why)
			}
			if strings.Contains(why.String(), "s3cret") {
				t.Errorf("it shows a value of env: %q", why.String())
			}
		})
	}
}

func TestImageForms(t *testing.T) {
	for image, want := range map[string]string{
		"alpine":                      "alpine docker.io/library/alpine:latest alpine:latest",
		"alpine:3":                    "alpine:3 docker.io/library/alpine:3",
		"library/alpine:3":            "library/alpine:3 docker.io/library/alpine:3 alpine:3",
		"docker.io/alpine":            "docker.io/alpine docker.io/library/alpine:latest alpine:latest",
		"index.docker.io/x/y:1":       "index.docker.io/x/y:1 docker.io/x/y:1 x/y:1",
		"ghcr.io/x/y":                 "ghcr.io/x/y ghcr.io/x/y:latest",
		"localhost/x:1":               "localhost/x:1",
		"localhost:5000/x":            "localhost:5000/x localhost:5000/x:latest",
		"[::1]:5000/x:2":              "[::1]:5000/x:2",
		"x/y:1@sha256:ab":             "x/y:1@sha256:ab docker.io/x/y:1@sha256:ab docker.io/x/y:1 docker.io/x/y@sha256:ab",
		"Some Thing":                  "Some Thing",
		"x@y":                         "x@y",
		"":                            "",
		"/":                           "/",
		"a//b":                        "a//b",
		"alpine:":                     "alpine:",
		"registry.k8s.io/pause@sha:1": "registry.k8s.io/pause@sha:1",
	} {
		f := formsOf(image)
		if got := strings.Join(f.list(), " "); got != want {
			t.Errorf("%q:\n got %s\nwant %s", image, got, want)
		}
	}
}

// FuzzImage holds our normal form against that of the container tools.
func FuzzImage(f *testing.F) {
	for _, s := range []string{"alpine", "a/b:c", "localhost:5000/x", "ghcr.io/x/y@sha256:" + strings.Repeat("a", 64), "A/b", "docker.io/x", "x.y/z:1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, image string) {
		forms := formsOf(image)
		ref, err := reference.ParseNormalizedNamed(image)
		if err != nil {
			return
		}
		want := reference.TagNameOnly(ref).String()
		for _, form := range forms.list() {
			if form == want {
				return
			}
		}
		t.Errorf("%q is %s; the forms are %q", image, want, forms.list())
	})
}
