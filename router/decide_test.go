package router

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/atom/container"
)

// whenFunc is a Condition made of a function.
type whenFunc func(*atom.EngineCreateRequest) (bool, error)

func (f whenFunc) Eval(r *atom.EngineCreateRequest) (bool, error) { return f(r) }
func (f whenFunc) String() string                                 { return "a function" }

func healthy(string) Health { return Health{} }

func to(backend string) []Tier {
	return []Tier{{Targets: []Target{{Backend: backend, Weight: 1}}}}
}

func TestDecide(t *testing.T) {
	yes := whenFunc(func(*atom.EngineCreateRequest) (bool, error) { return true, nil })
	no := whenFunc(func(*atom.EngineCreateRequest) (bool, error) { return false, nil })
	broken := whenFunc(func(*atom.EngineCreateRequest) (bool, error) { return false, errors.New("no such key") })
	alpine := Match{Image: patternList(t, "alpine:*")}
	cuda := Match{Image: patternList(t, "*/cuda:*")}
	for _, c := range []struct {
		name     string
		rules    []Rule
		fallback Rule
		rule     string
		backend  string
		rejected string
		trace    []RuleTrace
	}{
		{"first match", []Rule{{Name: "a", Match: cuda, Tiers: to("gpu")}, {Name: "b", Match: alpine, Tiers: to("x")}, {Name: "c", Tiers: to("y")}}, Rule{}, "b", "x", "",
			[]RuleTrace{
				{"a", false, `image "alpine:3" matches none of "*/cuda:*"`},
				{"b", true, `image "alpine:3" matches "alpine:*": to x`},
				{"c", false, `not asked: rule "b" decided`},
			}},
		{"when", []Rule{{Name: "a", When: no, Tiers: to("gpu")}, {Name: "b", When: yes, Tiers: to("x")}}, Rule{}, "b", "x", "",
			[]RuleTrace{{"a", false, "when a function does not hold"}, {"b", true, "when a function holds: to x"}}},
		{"when fails", []Rule{{Name: "a", When: broken, Tiers: to("gpu")}, {Name: "b", Tiers: to("x")}}, Rule{}, "a", "", "its condition cannot be evaluated: no such key",
			[]RuleTrace{{"a", true, "when a function: rejected: its condition cannot be evaluated: no such key"}, {"b", false, `not asked: rule "a" decided`}}},
		{"when not asked", []Rule{{Name: "a", Match: cuda, When: broken, Tiers: to("gpu")}, {Name: "b", Tiers: to("x")}}, Rule{}, "b", "x", "",
			[]RuleTrace{{"a", false, `image "alpine:3" matches none of "*/cuda:*"`}, {"b", true, "matches every request: to x"}}},
		{"reject", []Rule{{Name: "a", Match: alpine, Reject: "too small"}}, Rule{}, "a", "", "too small",
			[]RuleTrace{{"a", true, `image "alpine:3" matches "alpine:*": rejected: too small`}}},
		{"default", nil, Rule{Tiers: to("x")}, DefaultRule, "x", "", []RuleTrace{{DefaultRule, true, "no rule matched: to x"}}},
		{"default rejects", nil, Rule{Reject: "nothing here"}, DefaultRule, "", "nothing here", []RuleTrace{{DefaultRule, true, "no rule matched: rejected: nothing here"}}},
		{"no default", nil, Rule{}, DefaultRule, "", "no rule matched", []RuleTrace{{DefaultRule, true, "no rule matched: rejected"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := decide(c.rules, nil, &c.fallback, request(), healthy, true)
			if d.Rule != c.rule || d.Backend() != c.backend || d.Rejected != c.rejected {
				t.Errorf("rule %q, backend %q, rejected %q; want %q, %q, %q", d.Rule, d.Backend(), d.Rejected, c.rule, c.backend, c.rejected)
			}
			if diff := cmp.Diff(c.trace, d.Trace); diff != "" {
				t.Errorf("trace (-want +got):\n%s", diff)
			}
			plain := decide(c.rules, nil, &c.fallback, request(), healthy, false)
			if plain.Trace != nil || plain.Rule != d.Rule || plain.Backend() != d.Backend() || plain.Rejected != d.Rejected {
				t.Errorf("without a trace it decides otherwise: %+v", plain)
			}
			var rejection *atom.Rejection
			if err := d.Err(); (err != nil) != (c.rejected != "") || err != nil && (!errors.As(err, &rejection) || !errdefs.IsPermissionDenied(err)) {
				t.Errorf("error %v", err)
			}
		})
	}
}

// TestWalk tries what a decision leads to. Each backend is up, or "!" down,
// "#" full, "%" not able; "~" is up, and fails as unavailable when tried.
func TestWalk(t *testing.T) {
	both := []Cause(nil)
	tier := func(on []Cause, names ...string) Tier {
		tier := Tier{On: on}
		for _, n := range names {
			tier.Targets = append(tier.Targets, Target{Backend: n, Weight: 1})
		}
		return tier
	}
	full, down := []Cause{Full}, []Cause{Unavailable}
	for _, c := range []struct {
		name  string
		tiers []Tier
		tried string
		class func(error) bool
	}{
		{"one", []Tier{tier(both, "a")}, "a", nil},
		{"one down", []Tier{tier(both, "!a")}, "", errdefs.IsUnavailable},
		{"one full", []Tier{tier(both, "#a")}, "", errdefs.IsResourceExhausted},
		{"one not able", []Tier{tier(both, "%a")}, "", errdefs.IsNotImplemented},
		{"not able and down", []Tier{tier(both, "%a", "!b")}, "", errdefs.IsUnavailable},
		{"beside in the tier", []Tier{tier(both, "!a", "b", "#c")}, "b", nil},
		{"next tier", []Tier{tier(both, "!a"), tier(both, "b")}, "b", nil},
		{"first tier wins", []Tier{tier(both, "a"), tier(both, "b")}, "a", nil},
		{"on full, is full", []Tier{tier(both, "#a"), tier(full, "b")}, "b", nil},
		{"on full, is down", []Tier{tier(both, "!a"), tier(full, "b")}, "", errdefs.IsUnavailable},
		{"on down, is full", []Tier{tier(both, "#a"), tier(down, "b")}, "", errdefs.IsResourceExhausted},
		{"on down, is down", []Tier{tier(both, "!a"), tier(down, "b")}, "b", nil},
		{"all of the tier before", []Tier{tier(both, "!a", "#b"), tier(full, "c")}, "", errdefs.IsUnavailable},
		{"skipped tier asks no more", []Tier{tier(both, "!a"), tier(full, "b"), tier(down, "c")}, "c", nil},
		{"the tier entered last counts", []Tier{tier(both, "#a"), tier(full, "!b"), tier(down, "c")}, "c", nil},
		{"the tier entered last counts, full", []Tier{tier(both, "!a"), tier(down, "#b"), tier(down, "c")}, "", errdefs.IsUnavailable},
		{"beside in a later tier", []Tier{tier(both, "!a"), tier(down, "!b", "!c"), tier(both, "d")}, "d", nil},
		{"beside in a later tier, full", []Tier{tier(both, "!a"), tier(down, "#b", "#c"), tier(full, "d")}, "d", nil},
		{"on holds inside the tier too", []Tier{tier(both, "!a"), tier(down, "#x1", "x2")}, "", errdefs.IsUnavailable},
		{"not able counts as not there", []Tier{tier(both, "%a"), tier(full, "b")}, "b", nil},
		{"fails when tried", []Tier{tier(both, "~a"), tier(both, "b")}, "a b", nil},
		{"fails when tried, on full", []Tier{tier(both, "~a"), tier(full, "b")}, "a", errdefs.IsUnavailable},
		{"all fail when tried", []Tier{tier(both, "~a", "~b")}, "a b", errdefs.IsUnavailable},
	} {
		t.Run(c.name, func(t *testing.T) {
			health := func(name string) Health {
				h := Health{Capabilities: atom.Capabilities{atom.CapUser}}
				switch name[0] {
				case '!':
					h.Cause, h.Reason = Unavailable, "does not answer"
				case '#':
					h.Cause = Full
				case '%':
					h.Capabilities = atom.Capabilities{}
				}
				return h
			}
			r := &atom.EngineCreateRequest{Image: "x", Spec: container.Spec{User: "7"}}
			d := decide([]Rule{{Name: "r", Tiers: c.tiers}}, nil, &Rule{}, r, health, false)
			w := d.Walk()
			var tried []string
			up := false
			for b := w.Next(); b != nil && !up; {
				tried = append(tried, strings.TrimLeft(b.Backend, "~"))
				if up = !strings.HasPrefix(b.Backend, "~"); !up {
					w.Pass(Unavailable, "broke")
					b = w.Next()
				}
			}
			if len(c.tiers) == 1 && len(tried) == 2 { // one tier has an order of its own
				tried = []string{min(tried[0], tried[1]), max(tried[0], tried[1])}
			}
			if got := strings.Join(tried, " "); got != c.tried {
				t.Errorf("tried %q, want %q; passed over %q", got, c.tried, w.Passed())
			}
			if up != (c.class == nil) {
				t.Fatalf("ran: %v", up)
			}
			if !up && !c.class(w.Err()) {
				t.Errorf("error of another class: %v", w.Err())
			}
			if !strings.Contains(c.name, "when tried") && (d.Err() == nil) != up {
				t.Errorf("decision's error %v", d.Err())
			}
		})
	}
}

func TestWhyNot(t *testing.T) {
	health := func(name string) Health {
		switch name {
		case "down":
			return Health{Cause: Unavailable, Reason: "its plugin ended"}
		case "weak":
			return Health{Capabilities: atom.Capabilities{atom.CapLookup}}
		}
		return Health{}
	}
	r := &atom.EngineCreateRequest{Image: "x", Spec: container.Spec{User: "7", Resources: container.Resources{GPUs: 1}}}
	tiers := []Tier{{Targets: []Target{{"weak", 1}}}, {Targets: []Target{{"down", 1}}}, {Targets: []Target{{"ok", 3}}}}
	d := decide([]Rule{{Name: "r", Tiers: tiers}}, nil, &Rule{}, r, health, true)
	want := "matches every request: to ok (weak: cannot do user, gpus; down: its plugin ended)"
	if d.Trace[0].Reason != want {
		t.Errorf("got  %s\nwant %s", d.Trace[0].Reason, want)
	}
	shared := []Tier{{Targets: []Target{{"ok", 3}, {"down", 1}}}}
	d = decide([]Rule{{Name: "r", Tiers: shared}}, nil, &Rule{}, r, health, true)
	if want := "matches every request: to ok, weight 3 of 4"; !strings.HasPrefix(d.Trace[0].Reason, want) {
		t.Errorf("got  %s\nwant %s", d.Trace[0].Reason, want)
	}
	d = decide([]Rule{{Name: "r", Tiers: tiers[:1]}}, nil, &Rule{}, r, health, false)
	if err := d.Err(); !errdefs.IsNotImplemented(err) || err.Error() != "no backend can do what the request needs (weak: cannot do user, gpus)" {
		t.Errorf("got %v", err)
	}
}

func TestRendezvous(t *testing.T) {
	targets := []Target{{"a", 3}, {"b", 1}, {"c", 4}}
	const keys = 40_000
	first := map[string]int{}
	moved := 0
	for i := range keys {
		key := fmt.Sprintf("key-%d", i)
		order := byRendezvous(key, targets)
		first[order[0].Backend]++
		more := byRendezvous(key, append(targets[:3:3], Target{"d", 2}))
		if more[0].Backend != order[0].Backend {
			moved++
			if more[0].Backend != "d" {
				t.Fatalf("%s moved from %s to %s when d came", key, order[0].Backend, more[0].Backend)
			}
		}
		swapped := byRendezvous(key, []Target{{"c", 4}, {"a", 3}, {"b", 1}})
		if !cmp.Equal(order, swapped) {
			t.Fatalf("%s: the order in the config matters: %v, %v", key, order, swapped)
		}
	}
	near := func(what string, got int, want float64) {
		if math.Abs(float64(got)/keys-want) > 0.01 {
			t.Errorf("%s: %.3f of the keys, want %.3f", what, float64(got)/keys, want)
		}
	}
	near("a", first["a"], 3.0/8)
	near("b", first["b"], 1.0/8)
	near("c", first["c"], 4.0/8)
	near("moved to d", moved, 2.0/10)
}

// TestRendezvousStays pins the order: routers of different releases share
// keys.
func TestRendezvousStays(t *testing.T) {
	targets := []Target{{"docker", 1}, {"gpu", 3}, {"gpu-b", 1}}
	got := ""
	for _, key := range []string{"", "a", "job-1", "job-2"} {
		for _, target := range byRendezvous(key, targets) {
			got += target.Backend + " "
		}
		got += "| "
	}
	if want := pinnedOrder; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

const pinnedOrder = "docker gpu-b gpu | gpu gpu-b docker | gpu gpu-b docker | gpu docker gpu-b | "

func rules1000(t testing.TB) []Rule {
	rules := make([]Rule, 1000)
	for i := range rules {
		rules[i] = Rule{Name: fmt.Sprintf("rule-%d", i), Tiers: to("x"), Match: Match{
			Image:  patternList(t, fmt.Sprintf("registry-%d.example.com/*", i), fmt.Sprintf("*/cuda-%d:*", i)),
			Labels: map[string][]Pattern{"team": patternList(t, fmt.Sprintf("team-%d", i))},
		}}
	}
	rules[999].Match = Match{Image: patternList(t, "alpine:*")}
	return prepared(rules)
}

// labelRules1000 are rules that ask for labels which the request has with
// another value.
func labelRules1000(t testing.TB) []Rule {
	rules := make([]Rule, 1000)
	for i := range rules {
		rules[i] = Rule{Name: fmt.Sprintf("rule-%d", i), Tiers: to("x"), Match: Match{
			Labels: map[string][]Pattern{"team": patternList(t, fmt.Sprintf("team-%d*", i))},
		}}
	}
	rules[999].Match = Match{Labels: map[string][]Pattern{"team": patternList(t, "ml*")}}
	return prepared(rules)
}

// rules10000 are rules that ask in turn for an image, a variable of env and a
// label, a third of each with exact, with prefix and with other patterns. One
// in ten has a condition behind that, which nothing gets to. The last one
// matches.
func rules10000(t testing.TB) []Rule {
	never := whenFunc(func(*atom.EngineCreateRequest) (bool, error) {
		t.Error("a condition behind a matcher that does not hold was evaluated")
		return false, nil
	})
	kinds := []string{"%[1]s-%[2]d", "%[1]s-%[2]d*"}
	others := []string{"*-%[2]d", "*-%[2]d-*", "%[1]s-*-%[2]d", "%[1]s-%[2]d-?", "re:^%[1]s-%[2]d-[0-9]+$"}
	rules := make([]Rule, 10_000)
	for i := range rules {
		kind := append(kinds[:2:2], others[i/9%len(others)])[i/3%3]
		r := Rule{Name: fmt.Sprintf("rule-%d", i), Tiers: to("x")}
		switch i % 3 {
		case 0:
			r.Match.Image = patternList(t, fmt.Sprintf(kind, "registry.example.com/project/image", i))
		case 1:
			r.Match.Env = map[string][]Pattern{"STAGE": patternList(t, fmt.Sprintf(kind, "stage", i))}
		case 2:
			r.Match.Labels = map[string][]Pattern{"team": patternList(t, fmt.Sprintf(kind, "team", i))}
		}
		if i%10 == 0 {
			r.When = never
		}
		rules[i] = r
	}
	rules[9_999].Match = Match{Labels: map[string][]Pattern{"team": patternList(t, "*-last")}}
	return prepared(rules)
}

// request10000 differs only at its ends from what rules10000 ask for.
func request10000() *atom.EngineCreateRequest {
	return &atom.EngineCreateRequest{Image: "registry.example.com/project/image-x:13", Spec: container.Spec{
		Env:    map[string]string{"STAGE": "stage-x7", "HOME": "/root", "LANG": "C"},
		Labels: map[string]string{"team": "team-x9-last", "ticket": "1138"},
	}}
}

// decisions are what is measured; of each the last rule matches.
func decisions(t testing.TB) map[string]decision {
	return map[string]decision{
		"images":       {rules1000(t), request()},
		"labels":       {labelRules1000(t), request()},
		"ten-thousand": {rules10000(t), request10000()},
	}
}

type decision struct {
	rules   []Rule
	request *atom.EngineCreateRequest
}

func TestDecideAllocatesNothingPerRule(t *testing.T) {
	for name, d := range decisions(t) {
		count := func(rules []Rule, x *index) float64 {
			return testing.AllocsPerRun(50, func() { decide(rules, x, &Rule{}, d.request, healthy, false) })
		}
		one := count(d.rules[len(d.rules)-1:], nil)
		// Regular expressions borrow what they need, and under the race
		// detector do not always get it back.
		if all := count(d.rules, nil); all != one && name != "ten-thousand" {
			t.Errorf("%s: 1 rule: %v allocations, %d rules: %v", name, one, len(d.rules), all)
		}
		if all := count(d.rules, newIndex(d.rules)); all != one {
			t.Errorf("%s: 1 rule: %v allocations, %d rules with an index: %v", name, one, len(d.rules), all)
		}
	}
}

// Finding the rule costs no allocation where the image is given in full, and
// one or two for the full form of one that is not.
func TestFindingARuleAllocatesNothing(t *testing.T) {
	rules := rules10000(t)
	rules = slices.DeleteFunc(rules, func(r Rule) bool { return r.When != nil })
	x := newIndex(rules)
	for image, want := range map[string]float64{
		"registry.example/a/b:1": 0, "docker.io/library/alpine:latest": 0, "docker.io/library/alpine@sha256:0123": 0,
		"alpine": 2, "registry.example/a/b": 1,
	} {
		r := &atom.EngineCreateRequest{Image: image, Command: []string{"true"}}
		r.Spec.Labels = map[string]string{"team": "none"}
		got := testing.AllocsPerRun(50, func() {
			if d := decide(rules, x, &Rule{Reject: "no"}, r, healthy, false); d.Rule != DefaultRule {
				t.Fatalf("rule %s matches", d.Rule)
			}
		})
		if got != want {
			t.Errorf("%s: %v allocations, want %v", image, got, want)
		}
	}
}

func BenchmarkDecide(b *testing.B) {
	for name, d := range decisions(b) {
		b.Run(name, func(b *testing.B) {
			x, fallback, last := newIndex(d.rules), &Rule{}, d.rules[len(d.rules)-1].Name
			b.ReportAllocs()
			for b.Loop() {
				if got := decide(d.rules, x, fallback, d.request, healthy, false); got.Rule != last {
					b.Fatal(got.Rule)
				}
			}
		})
	}
}

// BenchmarkDecideWithoutIndex goes through all of the same rules.
func BenchmarkDecideWithoutIndex(b *testing.B) {
	for name, d := range decisions(b) {
		b.Run(name, func(b *testing.B) {
			fallback, last := &Rule{}, d.rules[len(d.rules)-1].Name
			b.ReportAllocs()
			for b.Loop() {
				if got := decide(d.rules, nil, fallback, d.request, healthy, false); got.Rule != last {
					b.Fatal(got.Rule)
				}
			}
		})
	}
}

// BenchmarkIndex tells the time and memory that an index of 10,000 rules takes
// to make, and what it keeps of that for a rule.
func BenchmarkIndex(b *testing.B) {
	rules := rules10000(b)
	b.ReportAllocs()
	for b.Loop() {
		newIndex(rules)
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.GC() // what the first one left
	runtime.ReadMemStats(&before)
	x := newIndex(rules)
	runtime.GC()
	runtime.ReadMemStats(&after)
	b.ReportMetric((float64(after.HeapAlloc)-float64(before.HeapAlloc))/float64(len(rules)), "B/rule")
	runtime.KeepAlive(x)
	runtime.KeepAlive(rules)
}
