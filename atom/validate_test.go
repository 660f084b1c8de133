package atom

import (
	"fmt"
	"math"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"

	"github.com/atom-router/atom-router/atom/container"
)

func TestValidate(t *testing.T) {
	bind := container.Mount{Type: container.MountTypeBind, Source: "/a", Target: "/b"}
	for _, c := range []struct {
		name   string
		change func(*EngineCreateRequest)
		want   []string // the errors' texts, as far as they are given
	}{
		{"nothing wrong", func(*EngineCreateRequest) {}, nil},
		{"everything set", func(r *EngineCreateRequest) {
			r.Name, r.Command, r.Owner, r.Key, r.Rule = "any näme\n", []string{"", "$(X)"}, "fleet-a", "k", "rule"
			r.Spec = container.Spec{
				Env: map[string]string{"a.b-c": "x\ny"}, WorkDir: "/", Mounts: []container.Mount{bind, {Type: container.MountTypeVolume, Source: "v", Target: "/v"}, {Type: container.MountTypeTmpfs, Target: "/t"}},
				Entrypoint: []string{"sh"}, User: "1:2", Resources: container.Resources{CPU: 0.5, Memory: 1, GPUs: 1},
				Labels: map[string]string{"a": "", "x.example/b_c": "any \n value", "cloud.caesiumx": ""}, PullPolicy: container.PullAlways, StopTimeout: time.Hour,
			}
		}, nil},
		{"no image", func(r *EngineCreateRequest) { r.Image = "" }, []string{"image: is required"}},
		{"an image of blanks", func(r *EngineCreateRequest) { r.Image = " alpine" }, []string{`image: " alpine" is not an image reference`}},
		{"an image with a newline", func(r *EngineCreateRequest) { r.Image = "al\npine" }, []string{`image: "al\npine" holds control characters`}},
		{"name of invalid UTF-8", func(r *EngineCreateRequest) { r.Name = "\xff" }, []string{`name: "\xff" is not valid UTF-8`}},
		{"NUL in a command", func(r *EngineCreateRequest) { r.Command = []string{"a", "\x00"} }, []string{`command[1]: "\x00" holds a NUL byte`}},
		{"a long key", func(r *EngineCreateRequest) { r.Key = strings.Repeat("k", 1025) }, []string{"key: is 1025 bytes long; at most 1024"}},
		{"an owner with a blank", func(r *EngineCreateRequest) { r.Owner = "a b" }, []string{`owner: "a b" is not an owner`}},
		{"env", func(r *EngineCreateRequest) { r.Spec.Env = map[string]string{"": "x", "A=B": "x", "C": "secret\x00"} }, []string{
			`spec.env[""]: a variable's name is empty`, `spec.env["A=B"]: a variable's name cannot hold '='`, `spec.env["C"]: its value holds a NUL byte`,
		}},
		{"workdir", func(r *EngineCreateRequest) { r.Spec.WorkDir = "w" }, []string{`spec.workdir: "w" is not an absolute path`}},
		{"mounts", func(r *EngineCreateRequest) {
			r.Spec.Mounts = []container.Mount{
				{Type: "nfs", Source: "x", Target: "/a"}, {Type: container.MountTypeBind, Target: "b"}, {Type: container.MountTypeVolume, Target: "/"},
				{Type: container.MountTypeTmpfs, Source: "x", Target: "/c"}, {Type: container.MountTypeTmpfs, Target: "/a/"}, {Type: container.MountTypeVolume, Source: "/x", Target: "/d"},
			}
		}, []string{
			`spec.mounts[0].type: "nfs" is none of`, `spec.mounts[1].target: "b" is not an absolute path`, `spec.mounts[1].source: is required`,
			`spec.mounts[2].target: cannot be the root directory`, `spec.mounts[2].source: a volume mount needs the volume's name`,
			`spec.mounts[3].source: a tmpfs mount has no source`, `spec.mounts[4].target: "/a/" is the target of spec.mounts[0] too`,
			`spec.mounts[5].source: "/x" is no volume name`,
		}},
		{"the rest", func(r *EngineCreateRequest) {
			r.Spec.Entrypoint, r.Spec.User = []string{""}, "a\x00"
			r.Spec.Resources = container.Resources{CPU: math.Inf(1), Memory: -1, GPUs: -1}
			r.Spec.PullPolicy, r.Spec.StopTimeout = "sometimes", -1
		}, []string{
			"spec.entrypoint[0]: names no program", `spec.user: "a\x00" holds a NUL byte`, "spec.resources.cpu: +Inf is not a number of cores",
			"spec.resources.memory: -1 is negative", "spec.resources.gpus: -1 is negative", `spec.pull_policy: "sometimes" is none of`, "spec.stop_timeout: -1ns is negative",
		}},
		{"labels", func(r *EngineCreateRequest) {
			r.Spec.Labels = map[string]string{"": "", "a b": "", "cloud.caesium": "", "cloud.caesium.owner": "", "cloud.caesium/x": "", "x/": "", "ok": "\xff"}
		}, []string{
			`spec.labels[""]: is not a label key`, `spec.labels["a b"]: is not a label key`, `spec.labels["cloud.caesium"]: labels under`,
			`spec.labels["cloud.caesium.owner"]: labels under`, `spec.labels["cloud.caesium/x"]: labels under`, `spec.labels["ok"]: "\xff" is not valid UTF-8`, `spec.labels["x/"]: is not a label key`,
		}},
		{"too much", func(r *EngineCreateRequest) { r.Command = []string{strings.Repeat("x", MaxRequestBytes+1)} }, []string{"request: holds 33554439 bytes of text; at most 33554432"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := &EngineCreateRequest{Image: "alpine"}
			c.change(r)
			err := r.Validate()
			var got []string
			for i, f := range AsFieldErrors(err) {
				text := f.Error()
				if i < len(c.want) && strings.HasPrefix(text, c.want[i]) {
					text = c.want[i]
				}
				got = append(got, text)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
			if (err != nil) != (len(c.want) > 0) || err != nil && !errdefs.IsInvalidArgument(err) {
				t.Errorf("the error %v is no InvalidArgument", err)
			}
			if err != nil && strings.Contains(err.Error(), "secret") {
				t.Error("the error shows a variable's value")
			}
		})
	}
}

func TestValidateID(t *testing.T) {
	for id, ok := range map[string]bool{
		"a": true, "gpu:ml/atom-x/1234": true, "größe": true, strings.Repeat("x", MaxIDBytes): true,
		"": false, "a\nb": false, "\x00": false, "\x7f": false, "\xff": false, strings.Repeat("x", MaxIDBytes+1): false,
	} {
		err := ValidateID(id)
		if (err == nil) != ok || err != nil && (!errdefs.IsInvalidArgument(err) || len(err.Error()) > 200) {
			t.Errorf("%.40q: %v", id, err)
		}
	}
}

func TestValidateOwner(t *testing.T) {
	for owner, ok := range map[string]bool{
		"": true, "a": true, "A.b-c_9": true, strings.Repeat("x", 63): true,
		"-a": false, "a-": false, "a b": false, "ä": false, "a/b": false, "a\n": false, strings.Repeat("x", 64): false,
	} {
		if err := ValidateOwner(owner); (err == nil) != ok {
			t.Errorf("%q: %v", owner, err)
		}
	}
}

func TestNeeds(t *testing.T) {
	r := &EngineCreateRequest{Key: "k", Spec: container.Spec{
		Mounts: []container.Mount{{Type: container.MountTypeBind}, {Type: container.MountTypeTmpfs}, {Type: container.MountTypeBind}, {Type: container.MountTypeVolume}},
		User:   "u", Resources: container.Resources{CPU: 1, Memory: 1, GPUs: 1},
	}}
	want := []Capability{CapMountBind, CapMountTmpfs, CapMountVolume, CapUser, CapUserNames, CapCPU, CapMemory, CapGPUs, CapLookup}
	if diff := cmp.Diff(want, r.Needs()); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if needs := (&EngineCreateRequest{}).Needs(); needs != nil {
		t.Errorf("a plain request needs %v", needs)
	}
	for user, want := range map[string]bool{"1000": false, "1000:2000": false, "worker": true, "1000:staff": true} {
		r := EngineCreateRequest{Spec: container.Spec{User: user}}
		if got := Capabilities(r.Needs()).Has(CapUserNames); got != want {
			t.Errorf("user %q needs names: %v", user, got)
		}
	}
	have := Capabilities{CapCPU, CapUser}
	if diff := cmp.Diff([]Capability{CapMemory}, have.Missing([]Capability{CapUser, CapMemory})); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

// TestLabelNames: what is a label's name and what its prefix is as Kubernetes
// has it in regular expressions.
func TestLabelNames(t *testing.T) {
	name := regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$`)
	prefix := regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$`)
	texts := []string{"", "\n", "a\n", "ä", "aäb", "a\xffb", "\xff"}
	for c := range 128 {
		for _, form := range []string{"%c", "%ca", "a%c", "a%cb"} {
			texts = append(texts, fmt.Sprintf(form, c))
		}
	}
	for _, n := range []int{62, 63, 64, 252, 253, 254} {
		texts = append(texts, strings.Repeat("a", n), strings.Repeat("-", n-1)+"a", "a"+strings.Repeat(".", n-2)+"a")
	}
	for _, text := range texts {
		if got, want := isLabelName(text), name.MatchString(text); got != want {
			t.Errorf("%q as a name: %v, want %v", text, got, want)
		}
		if got, want := isLabelPrefix(text), prefix.MatchString(text); got != want {
			t.Errorf("%q as a prefix: %v, want %v", text, got, want)
		}
	}
}
