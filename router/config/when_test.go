package config

import (
	"strings"
	"sync"
	"testing"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/atom/container"
	"github.com/atom-router/atom-router/router"
)

const frame = "backend \"a\" { plugin = \"a\" }\nrule \"r\" {\n  when = %\n  backend = \"a\"\n}\n"

func whenOf(t testing.TB, expr string) router.Condition {
	t.Helper()
	f, ds := Parse("config.hcl", []byte(strings.Replace(frame, "%", expr, 1)))
	if len(ds) > 0 {
		t.Fatalf("%s: %v", expr, ds)
	}
	return f.Config.Rules[0].When
}

func job() *atom.EngineCreateRequest {
	return &atom.EngineCreateRequest{
		Name: "train", Image: "ghcr.io/x/cuda:12", Command: []string{"python", "train.py"},
		Spec: container.Spec{
			Env: map[string]string{"MODE": "fast"}, Labels: map[string]string{"team": "ml", "which": "MODE"},
			Mounts:    []container.Mount{{Type: container.MountTypeBind, Source: "/data", Target: "/d", ReadOnly: true}},
			Resources: container.Resources{CPU: 1.5, Memory: 1 << 31, GPUs: 2},
		},
	}
}

func TestWhen(t *testing.T) {
	t.Setenv("ATOM_TEST_ZONE", "west")
	for expr, want := range map[string]bool{
		`resources.gpus >= 1`:                                         true,
		`resources.cpu == 1.5 && resources.memory > 1024`:             true,
		`name == "train" && user == "" && workdir == ""`:              true,
		`image == "ghcr.io/x/cuda:12"`:                                true,
		`startswith(image, "ghcr.io/") && endswith(image, ":12")`:     true,
		`contains(command, "train.py")`:                               true,
		`command[0] == "python"`:                                      true,
		`contains(entrypoint, "sh")`:                                  false,
		`env.MODE == "fast"`:                                          true,
		`env["MODE"] == "slow"`:                                       false,
		`env.MISSING == null`:                                         true,
		`env.MISSING == "x"`:                                          false,
		`env["MISSING"] != null`:                                      false,
		`labels.zone == null && labels.team == "ml"`:                  true,
		`env[labels.which] == "fast"`:                                 true,
		`env[labels.team] == null`:                                    true,
		`env["${labels.team}-x"] == null`:                             true,
		`labels.zone != null && startswith(labels.zone, "eu")`:        false,
		`lookup(labels, "zone", "none") == "none"`:                    true,
		`lookup(labels, "team", "none") == "ml"`:                      true,
		`labels.zone == null && lookup(labels, "zone", "") == ""`:     true,
		`can(regex("cuda:1[0-9]$", image))`:                           true,
		`can(regex("^cuda", image))`:                                  false,
		`try(mounts[3].source, "none") == "none"`:                     true,
		`mounts[0].source == "/data" && mounts[0].read_only`:          true,
		`[for m in mounts : m.target if m.type == "bind"][0] == "/d"`: true,
		`getenv("ATOM_TEST_ZONE") == "west"`:                          true,
		`getenv("ATOM_TEST_UNSET") == ""`:                             true,
		`!(resources.gpus > 5 || false)`:                              true,
		`true`:                                                        true,
	} {
		got, err := whenOf(t, expr).Eval(job())
		if err != nil || got != want {
			t.Errorf("%s: %v, %v; want %v", expr, got, err, want)
		}
	}
}

// TestWhenUnset: what a request does not say is "" or 0, and no error.
func TestWhenUnset(t *testing.T) {
	empty := &atom.EngineCreateRequest{Image: "x"}
	for expr, want := range map[string]bool{
		`name == "" && user == "" && workdir == ""`:                                  true,
		`resources.cpu == 0 && resources.memory == 0 && resources.gpus == 0`:         true,
		`env.A == null && labels.b == null && env["A"] == labels["b"]`:               true,
		`contains(command, "x") || contains(entrypoint, "x")`:                        false,
		`try(mounts[0].type, "") == ""`:                                              true,
		`lookup(env, "A", "d") == "d"`:                                               true,
		`[for k, v in labels : k] == ["x"]`:                                          false,
		`resources.gpus >= 1 || (labels.team == "ml" && resources.memory > 1000000)`: false,
	} {
		got, err := whenOf(t, expr).Eval(empty)
		if err != nil || got != want {
			t.Errorf("%s: %v, %v; want %v", expr, got, err, want)
		}
	}
}

func TestWhenFails(t *testing.T) {
	for expr, want := range map[string]string{
		`mounts[1].type == "bind"`:                 "config.hcl:3:",
		`labels.zone`:                              "null",
		`startswith(labels.zone, "a")`:             "null",
		`regex("^x", image) == "x"`:                "did not match",
		`env.MODE > 5`:                             "number",
		`lookup(labels, "team", true)`:             "",
		`labels.team`:                              "",
		`env[labels.none] == "x"`:                  "null",
		`{ a = true }[name]`:                       "",
		`try(labels.nope, 5)`:                      "null",
		`resources.memory > env.MODE`:              "",
		`(name == "train" ? labels.zone : "true")`: "",
	} {
		f, ds := Parse("config.hcl", []byte(strings.Replace(frame, "%", expr, 1)))
		if len(ds) > 0 {
			if ds[0].Range.Start.Line != 3 {
				t.Errorf("%s: refused at %v", expr, ds[0].Range)
			}
			continue // found when loaded: better still
		}
		got, err := f.Config.Rules[0].When.Eval(job())
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "config.hcl:3:") {
			t.Errorf("%s: %v, %v; want an error about %q", expr, got, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "fast") {
			t.Errorf("%s shows a value of env: %v", expr, err)
		}
	}
}

func TestWhenIsSafeForConcurrentUse(t *testing.T) {
	c := whenOf(t, `env[labels.which] == "fast" && can(regex("cuda", image)) && labels.zone == null`)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				if ok, err := c.Eval(job()); err != nil || !ok {
					t.Error(ok, err)
					return
				}
			}
		})
	}
	wg.Wait()
}

func TestWhenText(t *testing.T) {
	if got, want := whenOf(t, "(\n    resources.gpus\n      >= 1\n  )").String(), "( resources.gpus >= 1 )"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
