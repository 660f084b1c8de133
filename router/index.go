package router

import (
	"cmp"
	"math"
	"math/bits"
	"regexp/syntax"
	"slices"
	"strings"
	"unicode/utf8"
)

// index finds the rules that may hold for a request without a look at the
// others. Of each rule's conditions it knows one that must hold; whatever else
// the rule asks is still to be asked of those it finds. It is made once for a
// table and does not change, so that any number of decisions share it.
type index struct {
	// always are the rules it knows no condition of.
	always ruleSet
	fields [fieldEnv]textIndex // those before it
	labels map[string]*textIndex
	env    map[string]*textIndex
}

// field is what a condition that can be indexed is asked of.
type field uint8

const (
	fieldName field = iota
	fieldImage
	fieldCommand
	fieldEntrypoint
	fieldUser
	fieldWorkDir
	fieldPull
	fieldEnv // of a key, and all from here on
	fieldLabel
)

// hook is what one pattern at least asks of a text.
type hook struct {
	field   field
	key     string // of labels and env
	kind    hookKind
	literal string
	letters uint64 // of hookLetters
}

// hookKind says how a text has to compare to a hook's literal. The sooner it
// stands here the fewer texts do.
type hookKind uint8

const (
	hookWhole hookKind = iota
	hookStart
	hookEnd
	hookLetters // it has them all; see lettersOf
)

// newIndex indexes prepared rules.
func newIndex(rules []Rule) *index {
	x := &index{always: make(ruleSet, (len(rules)+63)/64), labels: map[string]*textIndex{}, env: map[string]*textIndex{}}
	all := make([][]condition, len(rules))
	shared := map[hook]int{} // by how many patterns
	for i := range rules {
		all[i] = rules[i].Match.conditions()
		for _, c := range all[i] {
			for _, hooks := range c {
				for _, h := range hooks {
					shared[h]++
				}
			}
		}
	}
	// What leads to the fewest other rules is best, and of that the strictest.
	cost := func(h hook) int { return shared[h]<<2 | int(h.kind) }
	for i := range rules {
		var best []hook
		least := math.MaxInt
		for _, c := range all[i] {
			hooks, most := make([]hook, len(c)), 0
			for n := range c {
				hooks[n] = slices.MinFunc(c[n], func(a, b hook) int { return cmp.Compare(cost(a), cost(b)) })
				most = max(most, cost(hooks[n]))
			}
			if most < least {
				best, least = hooks, most
			}
		}
		if least == math.MaxInt {
			x.always.add(i)
		}
		for _, h := range best {
			x.at(h).put(h, int32(i))
		}
	}
	return x
}

func (x *index) at(h hook) *textIndex {
	keys := x.env
	switch {
	case h.field < fieldEnv:
		return &x.fields[h.field]
	case h.field == fieldLabel:
		keys = x.labels
	}
	t := keys[h.key]
	if t == nil {
		t = &textIndex{}
		keys[h.key] = t
	}
	return t
}

// candidates returns the rules that may hold for what v shows; those that it
// leaves out do not. It uses space where that is large enough.
func (x *index) candidates(v *view, space ruleSet) ruleSet {
	if len(x.always) > len(space) {
		space = make(ruleSet, len(x.always))
	}
	found := space[:len(x.always)]
	copy(found, x.always)
	r := v.request
	x.fields[fieldName].find(r.Name, found)
	for _, form := range v.image.list() {
		x.fields[fieldImage].find(form, found)
	}
	x.fields[fieldCommand].find(v.command, found)
	x.fields[fieldEntrypoint].find(v.entrypoint, found)
	x.fields[fieldUser].find(r.Spec.User, found)
	x.fields[fieldWorkDir].find(r.Spec.WorkDir, found)
	x.fields[fieldPull].find(v.pull, found)
	findKeys(x.labels, r.Spec.Labels, found)
	findKeys(x.env, r.Spec.Env, found)
	return found
}

// findKeys goes over the smaller of both maps: neither the keys that rules ask
// for nor those of a request are few by nature.
func findKeys(asked map[string]*textIndex, have map[string]string, found ruleSet) {
	if len(asked) < len(have) {
		for key, t := range asked {
			if value, ok := have[key]; ok {
				t.find(value, found)
			}
		}
		return
	}
	for key, value := range have {
		if t := asked[key]; t != nil {
			t.find(value, found)
		}
	}
}

// textIndex finds rules by a text.
type textIndex struct {
	wholes, starts, ends map[string][]int32
	// The lengths that there are of starts and ends, the shortest first.
	startLengths, endLengths []int
	// others have to be gone through, which is quicker here than over rules.
	others []lettersHook
}

type lettersHook struct {
	letters uint64
	rule    int32
}

func (t *textIndex) put(h hook, rule int32) {
	switch h.kind {
	case hookWhole:
		t.wholes = withRule(t.wholes, h.literal, rule)
	case hookStart:
		t.starts = withRule(t.starts, h.literal, rule)
		t.startLengths = withLength(t.startLengths, len(h.literal))
	case hookEnd:
		t.ends = withRule(t.ends, h.literal, rule)
		t.endLengths = withLength(t.endLengths, len(h.literal))
	case hookLetters:
		t.others = append(t.others, lettersHook{h.letters, rule})
	}
}

func withRule(m map[string][]int32, literal string, rule int32) map[string][]int32 {
	if m == nil {
		m = map[string][]int32{}
	}
	m[literal] = append(m[literal], rule)
	return m
}

func withLength(lengths []int, n int) []int {
	i, found := slices.BinarySearch(lengths, n)
	if found {
		return lengths
	}
	return slices.Insert(lengths, i, n)
}

func (t *textIndex) find(s string, found ruleSet) {
	found.addAll(t.wholes[s])
	for _, n := range t.startLengths {
		if n > len(s) {
			break
		}
		found.addAll(t.starts[s[:n]])
	}
	for _, n := range t.endLengths {
		if n > len(s) {
			break
		}
		found.addAll(t.ends[s[len(s)-n:]])
	}
	if len(t.others) == 0 {
		return
	}
	letters := lettersOf(s)
	for _, other := range t.others {
		if other.letters&^letters == 0 {
			found.add(int(other.rule))
		}
	}
}

// condition is what a Match asks of one field: for each of its patterns, one of
// which has to match, all hooks of the pattern.
type condition [][]hook

// conditions are those of m that can be indexed. Bounds, mounts and what must
// not hold cannot.
func (m *Match) conditions() []condition {
	var list []condition
	add := func(f field, key string, patterns []Pattern) {
		c := make(condition, len(patterns))
		for i := range patterns {
			c[i] = patterns[i].hooks(f, key)
			if len(c[i]) == 0 {
				return // any text may match
			}
		}
		list = append(list, c)
	}
	for f, patterns := range [fieldEnv][]Pattern{
		fieldName: m.Name, fieldImage: m.Image, fieldCommand: m.Command, fieldEntrypoint: m.Entrypoint,
		fieldUser: m.User, fieldWorkDir: m.WorkDir, fieldPull: m.Pull,
	} {
		if len(patterns) > 0 { // none asks nothing
			add(field(f), "", patterns)
		}
	}
	for _, want := range m.sorted.labels {
		add(fieldLabel, want.key, want.patterns)
	}
	for _, want := range m.sorted.env {
		add(fieldEnv, want.key, want.patterns)
	}
	return list
}

// hooks returns what all hold for a text that p matches.
func (p *Pattern) hooks(f field, key string) []hook {
	var head, tail string
	switch p.kind {
	case patternExact:
		return []hook{{field: f, key: key, kind: hookWhole, literal: p.literal}}
	case patternPrefix:
		head = p.literal
	case patternSuffix:
		tail = p.literal
	case patternParts:
		head, tail = p.rest.parts[0], p.rest.parts[len(p.rest.parts)-1]
	case patternRunes:
		runes := p.rest.runes
		first, last := 0, len(runes)
		for runes[first] >= 0 {
			first++
		}
		for runes[last-1] >= 0 {
			last--
		}
		head, tail = string(runes[:first]), string(runes[last:])
	case patternRegexp:
		head = regexpHead(p.rest.regexp.String())
	}
	var list []hook
	if head != "" {
		list = append(list, hook{field: f, key: key, kind: hookStart, literal: head})
	}
	if tail != "" {
		list = append(list, hook{field: f, key: key, kind: hookEnd, literal: tail})
	}
	// Of a key it says something that it is there.
	if len(list) == 0 && (p.letters != 0 || f >= fieldEnv) {
		list = append(list, hook{field: f, key: key, kind: hookLetters, letters: p.letters})
	}
	return list
}

// regexpHead returns what every text begins with that an expression matches,
// as far as that is plain to see.
func regexpHead(expr string) string {
	re, err := syntax.Parse(expr, syntax.Perl)
	if err != nil || re.Op != syntax.OpConcat || re.Sub[0].Op != syntax.OpBeginText {
		return ""
	}
	first := re.Sub[1]
	if first.Op != syntax.OpLiteral || first.Flags&syntax.FoldCase != 0 {
		return ""
	}
	// Expressions take what is not UTF-8 for this rune.
	head, _, _ := strings.Cut(string(first.Rune), string(utf8.RuneError))
	return head
}

// ruleSet is a set of rules by their place, one bit for each. A nil ruleSet is
// all rules.
type ruleSet []uint64

func (s ruleSet) add(rule int) { s[rule/64] |= 1 << (rule % 64) }

func (s ruleSet) addAll(rules []int32) {
	for _, rule := range rules {
		s.add(int(rule))
	}
}

// next returns the first rule of s from this one on; what is no rule's place
// where there is none.
func (s ruleSet) next(from int) int {
	if s == nil {
		return from
	}
	skip := from % 64
	for word := from / 64; word < len(s); word++ {
		if left := s[word] >> skip << skip; left != 0 {
			return word*64 + bits.TrailingZeros64(left)
		}
		skip = 0
	}
	return math.MaxInt
}
