package router

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/atom/container"
)

// source makes rules and requests of few words, so that many a rule holds for
// many a request. It draws from pick.
type source struct {
	t    testing.TB
	pick func(n int) int
}

func (s *source) one(of ...string) string { return of[s.pick(len(of))] }

// word is empty at times, and not always UTF-8 as patterns are.
func (s *source) word() string {
	w := ""
	for range s.pick(4) {
		w += s.one("a", "b", "A", "é", "\xff", "\ufffd", "/", ":", "a:b", "*")
	}
	return w
}

func (s *source) image() string {
	return s.one("", "docker.io/", "library/", "index.docker.io/", "ghcr.io/", "ghcr.io/x/") +
		s.one("a", "ab", "b", "B", "") +
		s.one("", "", ":latest", ":1", ":") +
		s.one("", "", "", "@sha256:aa", "@x")
}

func (s *source) pattern(text func() string) Pattern {
	if s.pick(20) == 0 {
		return Pattern{}
	}
	glob := ""
	for _, r := range text() {
		glob += s.one("", "", "", "", "*", "?") + s.one("", "", "", `\`) + string(r)
	}
	glob = s.one("", "", "", "*", "?", "re:", "re:^", "re:(?i)^") + glob + s.one("", "", "", "*", "?", "*?")
	p, err := ParsePattern(glob)
	if err != nil {
		return pattern(s.t, s.one("*", "", "?", "re:^a"))
	}
	return p
}

func (s *source) patterns(text func() string) []Pattern {
	var list []Pattern
	for range 1 + s.pick(3) {
		list = append(list, s.pattern(text))
	}
	return list
}

func (s *source) keys() map[string][]Pattern {
	keys := map[string][]Pattern{}
	for range s.pick(3) {
		keys[s.one("", "a", "b", "c")] = s.patterns(s.word)
	}
	if s.pick(30) == 0 {
		keys["a"] = nil // holds for nothing
	}
	return keys
}

func (s *source) match(deep bool) Match {
	m := Match{}
	for range s.pick(4) {
		switch s.pick(12) {
		case 0:
			m.Name = s.patterns(s.word)
		case 1, 2, 3:
			m.Image = s.patterns(s.image)
		case 4:
			m.Command = s.patterns(s.word)
		case 5:
			m.Entrypoint = s.patterns(s.word)
		case 6:
			m.User, m.WorkDir = s.patterns(s.word), s.patterns(s.word)
		case 7:
			m.Pull = []Pattern{pattern(s.t, s.one("always", "if-not-present", "*t", "n*"))}
		case 8:
			m.Env = s.keys()
		case 9:
			m.Labels = s.keys()
		case 10:
			m.GPUsMin, m.MountTarget = ptr(s.pick(2)), []Pattern{pattern(s.t, "/*")}
		case 11:
			if deep {
				m.Not = []Match{s.match(false)}
			}
		}
	}
	return m
}

// rules of which few hold for everything: whatever stood after such a one
// would test nothing.
func (s *source) rules() []Rule {
	rules := make([]Rule, s.pick(200))
	for i := range rules {
		m := s.match(true)
		if m.empty() && s.pick(20) > 0 {
			m.Image = s.patterns(s.image)
		}
		rules[i] = Rule{Name: fmt.Sprintf("rule-%d", i), Match: m, Tiers: to("x")}
		switch s.pick(3) {
		case 0:
			holds := s.pick(4) == 0
			rules[i].When = whenFunc(func(*atom.EngineCreateRequest) (bool, error) { return holds, nil })
		case 1:
			if s.pick(20) == 0 {
				rules[i].When = whenFunc(func(*atom.EngineCreateRequest) (bool, error) { return false, errors.New("broken") })
			}
		}
	}
	return prepared(rules)
}

func (s *source) request() *atom.EngineCreateRequest {
	values := func() map[string]string {
		m := map[string]string{}
		for range s.pick(5) {
			m[s.one("", "a", "b", "c", "d", "e")] = s.word()
		}
		return m
	}
	texts := func() []string {
		var list []string
		for range s.pick(3) {
			list = append(list, s.word())
		}
		return list
	}
	r := &atom.EngineCreateRequest{Name: s.word(), Image: s.image(), Command: texts(), Spec: container.Spec{
		Entrypoint: texts(), User: s.word(), WorkDir: s.word(), Env: values(), Labels: values(),
		PullPolicy: container.PullPolicy(s.one("", "always", "never")),
	}}
	if s.pick(2) == 0 {
		r.Spec.Mounts = []container.Mount{{Type: container.MountTypeTmpfs, Target: "/a"}}
		r.Spec.Resources.GPUs = 1
	}
	return r
}

// checkIndex holds what is decided with an index against what is decided
// without, and each rule that the index leaves out against its matchers.
func checkIndex(t testing.TB, rules []Rule, x *index, r *atom.EngineCreateRequest) Decision {
	t.Helper()
	want := decide(rules, nil, &Rule{}, r, healthy, false)
	if diff := cmp.Diff(want, decide(rules, x, &Rule{}, r, healthy, false), cmp.AllowUnexported(Candidate{})); diff != "" {
		t.Fatalf("with an index it decides otherwise (-without +with):\n%s\nrequest %+v", diff, r)
	}
	v := viewOf(r)
	found := x.candidates(&v, nil)
	for i := range rules {
		if rules[i].Match.holds(&v, nil) && found.next(i) != i {
			t.Fatalf("rule %+v holds for %+v and is left out", rules[i].Match, r)
		}
	}
	return want
}

func TestIndexDecidesAlike(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 2))
	s := &source{t: t, pick: random.IntN}
	decided := map[string]int{}
	leftOut, all := 0, 0
	for range 300 {
		rules := s.rules()
		x := newIndex(rules)
		for range 30 {
			r := s.request()
			d := checkIndex(t, rules, x, r)
			switch {
			case d.Rule == DefaultRule:
				decided["default"]++
			case d.Rejected != "":
				decided["broken"]++
			default:
				decided["rule"]++
			}
			v := viewOf(r)
			found := x.candidates(&v, nil)
			for i := range rules {
				all++
				if found.next(i) != i {
					leftOut++
				}
			}
		}
	}
	t.Logf("decided by %v; %d of %d rules left out", decided, leftOut, all)
	for _, by := range []string{"default", "broken", "rule"} {
		if decided[by] < 100 {
			t.Errorf("only %d of the decisions were of kind %q: the test lost its worth", decided[by], by)
		}
	}
	if leftOut < all/3 {
		t.Errorf("%d of %d rules were left out: the index does nothing", leftOut, all)
	}
}

// FuzzIndex lets the fuzzer choose the rules and the request.
func FuzzIndex(f *testing.F) {
	random := rand.New(rand.NewPCG(7, 3))
	for range 5 {
		seed := make([]byte, 2000)
		for i := range seed {
			seed[i] = byte(random.Uint32())
		}
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, choices []byte) {
		s := &source{t: t, pick: func(n int) int {
			if len(choices) == 0 {
				return 0
			}
			c := int(choices[0])
			choices = choices[1:]
			return c % n
		}}
		r, more := s.request(), s.request()
		rules := s.rules()
		x := newIndex(rules)
		checkIndex(t, rules, x, r)
		checkIndex(t, rules, x, more)
	})
}

// TestIndexOfManyRules has more than fit into what a decision has at hand.
func TestIndexOfManyRules(t *testing.T) {
	rules := make([]Rule, 17_000)
	for i := range rules {
		rules[i] = Rule{Name: fmt.Sprintf("rule-%d", i), Tiers: to("x"), Match: Match{Name: patternList(t, fmt.Sprintf("job-%d", i))}}
	}
	rules = prepared(rules)
	x := newIndex(rules)
	for _, i := range []int{0, 63, 64, 16_383, 16_384, 16_999} {
		d := checkIndex(t, rules, x, &atom.EngineCreateRequest{Name: fmt.Sprintf("job-%d", i), Image: "x"})
		if d.Rule != rules[i].Name {
			t.Errorf("job-%d: rule %q", i, d.Rule)
		}
	}
}

// TestIndexChooses says which condition of a rule is taken: the one that it
// shares with the fewest rules, and the strictest of those.
func TestIndexChooses(t *testing.T) {
	common := map[string][]Pattern{"team": patternList(t, "ml")}
	var rules []Rule
	for i := range 100 {
		rules = append(rules, Rule{Match: Match{Labels: common, Image: patternList(t, fmt.Sprintf("image-%d:*", i), fmt.Sprintf("*/image-%d:1", i))}})
	}
	rules = append(rules, Rule{Match: Match{Image: patternList(t, "*:latest"), Name: patternList(t, "build")}})
	rules = prepared(rules)
	x := newIndex(rules)
	r := &atom.EngineCreateRequest{Image: "image-7", Spec: container.Spec{Labels: map[string]string{"team": "ml"}}}
	var found []int
	v := viewOf(r)
	set := x.candidates(&v, nil)
	for i := set.next(0); i < len(rules); i = set.next(i + 1) {
		found = append(found, i)
	}
	if diff := cmp.Diff([]int{7}, found); diff != "" {
		t.Errorf("candidates (-want +got):\n%s", diff)
	}
}

// TestReloadIndexesAnew decides by rules that the index of those before would
// leave out.
func TestReloadIndexesAnew(t *testing.T) {
	rules := func(image string) []Rule {
		return []Rule{{Name: image, Match: Match{Image: patternList(t, image)}, Tiers: tiers("a")}}
	}
	e := newEngine(t, Config{Backends: backends(&fake{}), Rules: rules("old"), Default: Rule{Reject: "no"}})
	for _, image := range []string{"new", "newer"} {
		if err := e.Reload(t.Context(), changed(e, func(c *Config) { c.Rules = rules(image) })); err != nil {
			t.Fatal(err)
		}
		if _, err := e.Create(&atom.EngineCreateRequest{Image: image}); err != nil {
			t.Error(err)
		}
		if _, err := e.Create(&atom.EngineCreateRequest{Image: "old"}); !errdefs.IsPermissionDenied(err) {
			t.Errorf("by a rule that is gone: %v", err)
		}
	}
}
