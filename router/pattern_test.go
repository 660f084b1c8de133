package router

import (
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
)

func pattern(t testing.TB, s string) Pattern {
	t.Helper()
	p, err := ParsePattern(s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func patternList(t testing.TB, ss ...string) []Pattern {
	var list []Pattern
	for _, s := range ss {
		list = append(list, pattern(t, s))
	}
	return list
}

func TestPattern(t *testing.T) {
	for _, c := range []struct {
		pattern string
		yes, no []string
	}{
		{"", []string{""}, []string{"a"}},
		{"alpine", []string{"alpine"}, []string{"", "alpine:3", "xalpine"}},
		{"*", []string{"", "a", "a/b:c"}, nil},
		{"**", []string{"", "a"}, nil},
		{"nvidia/*", []string{"nvidia/", "nvidia/cuda:12", "nvidia/a/b"}, []string{"nvidia", "x/nvidia/a"}},
		{"*/cuda:*", []string{"ghcr.io/x/cuda:12", "/cuda:"}, []string{"cuda:12", "x/cuda"}},
		{"*:latest", []string{":latest", "a:latest"}, []string{"a:latest2"}},
		{"a*a", []string{"aa", "aba"}, []string{"a", "ab"}},
		{"a*b*c", []string{"abc", "a-b-b-c"}, []string{"acb", "ab"}},
		{"ab*ba", []string{"abba"}, []string{"aba"}},
		{"?", []string{"a", "é", "\xff"}, []string{"", "ab"}},
		{"a?c*", []string{"abc", "aéc/d"}, []string{"ac", "abd"}},
		{"*?", []string{"a", "ab"}, []string{""}},
		{`\*`, []string{"*"}, []string{"a", `\*`}},
		{`a\?b`, []string{"a?b"}, []string{"acb"}},
		{`\\*`, []string{`\`, `\a`}, []string{"a"}},
		{`\re:x`, []string{"re:x"}, []string{"x"}},
		{"[ab]", []string{"[ab]"}, []string{"a"}},
		{"re:b", []string{"abc"}, []string{"ac"}},
		{"re:^b$", []string{"b"}, []string{"abc"}},
		{"re:", []string{"", "a"}, nil},
		{"\ufffd?", []string{"\ufffda"}, []string{"\xffa"}},
	} {
		p := pattern(t, c.pattern)
		if p.String() != c.pattern {
			t.Errorf("%q prints as %q", c.pattern, p)
		}
		for _, s := range c.yes {
			if !p.Match(s) {
				t.Errorf("%q does not match %q", c.pattern, s)
			}
		}
		for _, s := range c.no {
			if p.Match(s) {
				t.Errorf("%q matches %q", c.pattern, s)
			}
		}
	}
}

func TestPatternMistakes(t *testing.T) {
	for in, want := range map[string]string{
		`a\`:       "lone",
		"re:(":     "missing closing )",
		"re:a{1":   "",
		"re:[z-a]": "invalid character class range",
		"\xff":     "UTF-8",
	} {
		_, err := ParsePattern(in)
		if want == "" {
			if err != nil {
				t.Errorf("%q: %v", in, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want an error about %q", in, err, want)
		}
	}
}

func TestZeroPattern(t *testing.T) {
	var p Pattern
	if !p.Match("") || p.Match("a") || p.String() != "" {
		t.Error("the zero Pattern must match the empty text alone")
	}
}

// slowGlob is a glob as a regular expression, the slow and obvious way.
func slowGlob(glob string) *regexp.Regexp {
	var b strings.Builder
	b.WriteString(`(?s)\A`)
	escaped := false
	for _, r := range glob {
		switch {
		case escaped:
			b.WriteString(regexp.QuoteMeta(string(r)))
			escaped = false
		case r == '\\':
			escaped = true
		case r == '*':
			b.WriteString(".*")
		case r == '?':
			b.WriteString(".")
		default:
			b.WriteString(regexp.QuoteMeta(string(r)))
		}
	}
	b.WriteString(`\z`)
	return regexp.MustCompile(b.String())
}

func TestPatternAgainstRegexp(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	text := func(alphabet string, n int) string {
		var b strings.Builder
		letters := []rune(alphabet)
		for range rnd.IntN(n) {
			b.WriteRune(letters[rnd.IntN(len(letters))])
		}
		return b.String()
	}
	matched := 0
	for range 20_000 {
		glob := text("ab/é**?", 8)
		if strings.HasPrefix(glob, RegexpPrefix) {
			continue
		}
		s := text("ab/é", 8)
		p := pattern(t, glob)
		want := slowGlob(glob).MatchString(s)
		if got := p.Match(s); got != want {
			t.Fatalf("%q on %q: %v, a regular expression says %v", glob, s, got, want)
		}
		if want {
			matched++
		}
	}
	if matched < 1000 {
		t.Errorf("only %d of the random texts matched: the test says little", matched)
	}
}

// TestPatternCovers: what covers claims must be so for every text.
func TestPatternCovers(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	text := func(alphabet string, n int) string {
		b := make([]byte, rnd.IntN(n))
		for i := range b {
			b[i] = alphabet[rnd.IntN(len(alphabet))]
		}
		return string(b)
	}
	claims := 0
	for range 20_000 {
		p, q := pattern(t, text("ab**?", 5)), pattern(t, text("ab**?", 5))
		if !p.covers(q) {
			continue
		}
		claims++
		for range 30 {
			if s := text("abc", 6); q.Match(s) && !p.Match(s) {
				t.Fatalf("%q is said to cover %q, but not on %q", p, q, s)
			}
		}
	}
	if claims < 1000 {
		t.Errorf("only %d claims", claims)
	}
	for _, c := range [][2]string{{"*", "re:x"}, {"nvidia/*", "nvidia/cuda*"}, {"*/cuda:*", "ghcr.io/x/cuda:12"}, {"a*", "a?"}, {"*a*", "*ba*c"}, {"re:^a", "abc"}, {"re:x", "re:x"}} {
		if !pattern(t, c[0]).covers(pattern(t, c[1])) {
			t.Errorf("%q covers %q, and that was not found", c[0], c[1])
		}
	}
}

func TestPatternAllocatesNothing(t *testing.T) {
	for _, s := range []string{"a", "*", "a*", "*a", "*a*", "a*b*c", "a?*c"} {
		p := pattern(t, s)
		if n := testing.AllocsPerRun(100, func() { p.Match("a/b:cdé") }); n != 0 {
			t.Errorf("%q allocates %v times", s, n)
		}
	}
}

func FuzzPattern(f *testing.F) {
	for _, s := range []string{"", "*", "a*b?c", `\*`, `a\`, "re:a+", "re:(", "*/cuda:*", "é?"} {
		f.Add(s, "a/b:c")
	}
	f.Fuzz(func(t *testing.T, text, s string) {
		p, err := ParsePattern(text)
		if err != nil {
			return
		}
		if p.String() != text {
			t.Fatalf("%q prints as %q", text, p)
		}
		got := p.Match(s)
		if len(text) > 100 || len(s) > 1000 || strings.HasPrefix(text, RegexpPrefix) || strings.ContainsRune(text, '\ufffd') {
			return
		}
		if want := slowGlob(text).MatchString(s); got != want {
			t.Fatalf("%q on %q: %v, a regular expression says %v", text, s, got, want)
		}
	})
}
