package router

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/atom-router/atom-router/atom"
)

func TestCheck(t *testing.T) {
	docker := Backend{Name: "docker", Plugin: "docker"}
	rules := func(rules ...Rule) Config {
		return Config{Backends: []Backend{docker}, Rules: rules, Default: Rule{Tiers: to("docker")}}
	}
	alpine := Match{Image: patternList(t, "alpine:*")}
	for _, c := range []struct {
		name   string
		config Config
		want   []string // path and a part of the summary
	}{
		{"good", rules(Rule{Name: "a", Match: alpine, Tiers: to("docker")}), nil},
		{"zero", Config{}, []string{": there are no backends"}},
		{"owner", Config{Owner: "-", Backends: []Backend{docker}, Default: Rule{Tiers: to("docker")}}, []string{"owner: \"-\" is not an owner"}},
		{"backend", Config{Backends: []Backend{{Name: "docker", Plugin: "x", SHA256: "1", Env: []string{"A=b"}, MaxAtoms: -1, Retention: -time.Second}}, Default: Rule{Tiers: to("docker")}},
			[]string{"backend[0].sha256: this is no", "backend[0].env[0]: \"A=b\"", "backend[0].max_atoms: max_atoms is neg", "backend[0].retention: retention is neg"}},
		{"unknown backend", rules(Rule{Name: "a", Match: alpine, Tiers: to("dokcer")}), []string{"rule[0].to[0].backends[0]: unknown backend \"dokcer\". Did you mean \"docker\"?"}},
		{"neither", rules(Rule{Name: "a", Match: alpine}), []string{"rule[0]: rule \"a\" leads nowhere"}},
		{"both", rules(Rule{Name: "a", Match: alpine, Reject: "x", Tiers: to("docker")}), []string{"rule[0]: a rule cannot both"}},
		{"empty tier", rules(Rule{Name: "a", Match: alpine, Tiers: []Tier{{}}}), []string{"rule[0].to[0]: a to block names no"}},
		{"bad cause", rules(Rule{Name: "a", Match: alpine, Tiers: []Tier{{Targets: []Target{{"docker", 0}}, On: []Cause{"x"}}}}),
			[]string{"rule[0].to[0].backends[0]: the weight", "rule[0].to[0].on: the first", "rule[0].to[0].on[0]: \"x\" is not a cause"}},
		{"nested not", rules(Rule{Name: "a", Match: Match{Not: []Match{{Not: []Match{{}}}}}, Tiers: to("docker")}), []string{"rule[0].match.not[0].not[0]: an empty not"}},
		{"long name", rules(Rule{Name: strings.Repeat("a", 64), Match: alpine, Tiers: to("docker")}), []string{"rule[0].name: "}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			for _, p := range c.config.Check() {
				got = append(got, p.String())
			}
			if len(got) != len(c.want) {
				t.Fatalf("got %q, want %q", got, c.want)
			}
			for i := range got {
				if !strings.HasPrefix(got[i], c.want[i]) {
					t.Errorf("got %q, want %q", got[i], c.want[i])
				}
			}
		})
	}
}

func TestReach(t *testing.T) {
	p := func(ss ...string) []Pattern { return patternList(t, ss...) }
	team := func(s string) map[string][]Pattern { return map[string][]Pattern{"team": p(s)} }
	x := whenFunc(nil)
	for _, c := range []struct {
		name          string
		first, second Rule
		shadowed      bool
	}{
		{"catch-all", Rule{}, Rule{Match: Match{Image: p("a")}}, true},
		{"catch-all with when", Rule{When: x}, Rule{Match: Match{Image: p("a")}}, false},
		{"same when", Rule{When: x}, Rule{When: x, Match: Match{Image: p("a")}}, true},
		{"identical", Rule{Match: Match{Image: p("a*"), Labels: team("ml")}}, Rule{Match: Match{Image: p("a*"), Labels: team("ml")}}, true},
		{"one more condition", Rule{Match: Match{Image: p("a*")}}, Rule{Match: Match{Image: p("ab"), Labels: team("ml")}}, true},
		{"one fewer", Rule{Match: Match{Image: p("a*"), Labels: team("ml")}}, Rule{Match: Match{Image: p("a*")}}, false},
		{"one pattern outside", Rule{Match: Match{Image: p("a*")}}, Rule{Match: Match{Image: p("ab", "b")}}, false},
		{"star on what always is", Rule{Match: Match{Name: p("*")}}, Rule{Match: Match{Image: p("a")}}, true},
		{"star on a label", Rule{Match: Match{Labels: team("*")}}, Rule{Match: Match{Image: p("a")}}, false},
		{"higher bound", Rule{Match: Match{GPUsMin: ptr(1)}}, Rule{Match: Match{GPUsMin: ptr(2)}}, true},
		{"lower bound", Rule{Match: Match{GPUsMin: ptr(2)}}, Rule{Match: Match{GPUsMin: ptr(1)}}, false},
		{"at most", Rule{Match: Match{CPUMax: ptr(2.0)}}, Rule{Match: Match{CPUMax: ptr(1.0)}}, true},
		{"no bound", Rule{Match: Match{CPUMax: ptr(2.0)}}, Rule{Match: Match{Name: p("a")}}, false},
		{"not", Rule{Match: Match{Not: []Match{{User: p("root")}}}}, Rule{Match: Match{Not: []Match{{User: p("ro*")}}}}, true},
		{"narrower not", Rule{Match: Match{Not: []Match{{User: p("ro*")}}}}, Rule{Match: Match{Not: []Match{{User: p("root")}}}}, false},
		{"not, and nothing said", Rule{Match: Match{Not: []Match{{User: p("root")}}}}, Rule{Match: Match{Name: p("a")}}, false},
		{"mount", Rule{Match: Match{MountType: p("bind")}}, Rule{Match: Match{MountType: p("bind"), MountSource: p("/x")}}, true},
		{"other mount", Rule{Match: Match{MountSource: p("/x")}}, Rule{Match: Match{MountType: p("bind")}}, false},
	} {
		if got := c.first.covers(&c.second); got != c.shadowed {
			t.Errorf("%s: %v, want %v", c.name, got, c.shadowed)
		}
	}
}

func TestCheckCapabilities(t *testing.T) {
	match := Match{
		User: patternList(t, "root", "app"), CPUMin: ptr(0.0), MemoryMin: ptr(int64(1)), GPUsMin: ptr(1),
		MountType: patternList(t, "bind"),
	}
	c := Config{Rules: []Rule{
		{Name: "a", Match: match, Tiers: []Tier{{Targets: []Target{{"weak", 1}}}, {Targets: []Target{{"gpu", 1}}}}},
		{Name: "b", Match: match, Tiers: []Tier{{Targets: []Target{{"weak", 1}, {"unknown", 1}}}}},
		{Name: "c", Match: match, Reject: "no"},
		{Name: "d", Match: Match{User: patternList(t, "*"), MountType: patternList(t, "bind", "tmpfs")}, Tiers: to("weak")},
	}}
	caps := func(b string) (atom.Capabilities, bool) {
		return map[string]atom.Capabilities{"weak": {atom.CapUser}, "gpu": {atom.CapGPUs}}[b], b != "unknown"
	}
	var got []string
	for _, p := range c.CheckCapabilities(caps) {
		got = append(got, p.Path+": "+p.Summary)
	}
	want := []string{
		`rule[0].match.memory_min: no backend of rule "a" can do memory`,
		`rule[0].match.mount_type: no backend of rule "a" can do mount_bind`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestNearest(t *testing.T) {
	names := []string{"docker", "gpu", "gpu-b", "image", "labels"}
	for in, want := range map[string]string{
		"dokcer": "docker", "Docker": "docker", "gpuu": "gpu", "images": "image", "label": "labels",
		"x": "", "elsewhere": "", "": "", "ab": "",
	} {
		if got := Nearest(in, names); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}
