package router

import (
	"fmt"
	"regexp"
	"regexp/syntax"
	"strings"
	"unicode/utf8"
)

// RegexpPrefix begins a Pattern that is a regular expression.
const RegexpPrefix = "re:"

// Pattern matches text. Most are globs, which match the whole text: '*' stands
// for any run of characters, '/' and ':' included, '?' for one character, and
// '\' takes the character after it as it is. A glob has no character classes
// and no alternatives; "[" and "{" stand for themselves.
//
// A pattern that begins with "re:" is a regular expression in RE2 syntax. As
// in most tools it may match anywhere: "re:^ml-.*$" is anchored, "re:ml-" is
// not.
//
// The zero Pattern matches the empty text and no other. Patterns are immutable
// and safe for concurrent use; Match of a glob allocates nothing.
type Pattern struct {
	text string
	kind patternKind
	// literal is what the common kinds look for.
	literal string
	// letters are those that a text must have to match; see lettersOf.
	letters uint64
	rest    *longPattern
}

// longPattern is what the less common kinds need. It stands apart to keep a
// Pattern small: decisions walk over thousands.
type longPattern struct {
	// parts are the literals between the stars of a glob that has no '?'.
	parts []string
	// runes is a glob that has one: literals, anyRune and anyRun.
	runes  []rune
	regexp *regexp.Regexp
}

type patternKind uint8

const (
	patternExact  patternKind = iota
	patternAll                // "*"
	patternPrefix             // literal and a star
	patternSuffix             // a star and literal
	patternWithin             // stars around literal
	patternParts              // any other glob without '?'
	patternRunes              // a glob with '?'
	patternRegexp
)

// Runes that stand for something else in longPattern.runes. No text decodes
// to them.
const (
	anyRune rune = -1
	anyRun  rune = -2
)

// ParsePattern reads a pattern. Its error says what is wrong and where, to be
// shown beside the pattern.
func ParsePattern(s string) (Pattern, error) {
	if !utf8.ValidString(s) {
		return Pattern{}, fmt.Errorf("pattern %q is not valid UTF-8", s)
	}
	if expr, ok := strings.CutPrefix(s, RegexpPrefix); ok {
		return parseRegexp(s, expr)
	}
	var (
		literal   strings.Builder
		parts     []string
		runes     []rune
		questions bool
	)
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		i += size
		switch r {
		case '\\':
			if i == len(s) {
				return Pattern{}, fmt.Errorf(`pattern %q ends with a lone '\': write '\\' for a backslash`, s)
			}
			r, size = utf8.DecodeRuneInString(s[i:])
			i += size
		case '*':
			if n := len(runes); n > 0 && runes[n-1] == anyRun {
				continue
			}
			parts = append(parts, literal.String())
			literal.Reset()
			runes = append(runes, anyRun)
			continue
		case '?':
			questions = true
			runes = append(runes, anyRune)
			continue
		}
		literal.WriteRune(r)
		runes = append(runes, r)
	}
	var p Pattern
	if questions {
		p = Pattern{text: s, kind: patternRunes, rest: &longPattern{runes: runes}}
	} else {
		p = classify(s, append(parts, literal.String()))
	}
	for _, r := range runes {
		if r >= 0 {
			p.letters |= lettersOf(string(r))
		}
	}
	return p, nil
}

// lettersOf is the set of the letters and digits in a text, one bit for each;
// the other bytes share the bits that are left. A text without all of a glob's
// letters does not match it, which decides most cases without a look at
// either.
func lettersOf(s string) uint64 {
	var set uint64
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z':
			set |= 1 << (c - 'a')
		case '0' <= c && c <= '9':
			set |= 1 << (26 + c - '0')
		default:
			set |= 1 << (36 + c%28)
		}
	}
	return set
}

// classify finds the cheapest way to match a glob without '?'.
func classify(text string, parts []string) Pattern {
	first, last := parts[0], parts[len(parts)-1]
	switch {
	case len(parts) == 1:
		return Pattern{text: text, kind: patternExact, literal: first}
	case len(parts) == 2 && first == "" && last == "":
		return Pattern{text: text, kind: patternAll}
	case len(parts) == 2 && last == "":
		return Pattern{text: text, kind: patternPrefix, literal: first}
	case len(parts) == 2 && first == "":
		return Pattern{text: text, kind: patternSuffix, literal: last}
	case len(parts) == 3 && first == "" && last == "":
		return Pattern{text: text, kind: patternWithin, literal: parts[1]}
	}
	return Pattern{text: text, kind: patternParts, rest: &longPattern{parts: parts}}
}

func parseRegexp(text, expr string) (Pattern, error) {
	re, err := regexp.Compile(expr)
	if err != nil {
		if s, ok := err.(*syntax.Error); ok {
			return Pattern{}, fmt.Errorf("regular expression %q: %s: %q", expr, s.Code, s.Expr)
		}
		return Pattern{}, fmt.Errorf("regular expression %q: %w", expr, err)
	}
	return Pattern{text: text, kind: patternRegexp, rest: &longPattern{regexp: re}}, nil
}

// String is the pattern as it was written.
func (p Pattern) String() string { return p.text }

// Equal reports whether both were written alike.
func (p Pattern) Equal(q Pattern) bool { return p.text == q.text }

// Match reports whether the pattern matches s.
func (p Pattern) Match(s string) bool { return p.match(s) }

// match is Match without a copy of p: decisions ask it thousands of times.
func (p *Pattern) match(s string) bool {
	switch p.kind {
	case patternExact:
		return s == p.literal
	case patternAll:
		return true
	case patternPrefix:
		return strings.HasPrefix(s, p.literal)
	case patternSuffix:
		return strings.HasSuffix(s, p.literal)
	case patternWithin:
		return strings.Contains(s, p.literal)
	case patternParts:
		return matchParts(p.rest.parts, s)
	case patternRunes:
		return matchRunes(p.rest.runes, s)
	}
	return p.rest.regexp.MatchString(s)
}

// matchParts matches literals with a star between each two. Taking each at its
// first place is right, since what stands between may be anything.
func matchParts(literals []string, s string) bool {
	first, last := literals[0], literals[len(literals)-1]
	if len(s) < len(first)+len(last) || !strings.HasPrefix(s, first) || !strings.HasSuffix(s, last) {
		return false
	}
	s = s[len(first) : len(s)-len(last)]
	for _, literal := range literals[1 : len(literals)-1] {
		i := strings.Index(s, literal)
		if i < 0 {
			return false
		}
		s = s[i+len(literal):]
	}
	return true
}

// matchRunes matches a glob rune by rune. After a mismatch only the last star
// has to take one more rune, so the worst is len(pattern)*len(s).
func matchRunes(pattern []rune, s string) bool {
	p, i := 0, 0
	star, from := -1, 0 // the last star met, and where in s it stops for now
	for i < len(s) {
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case p < len(pattern) && pattern[p] == anyRun:
			star, from = p, i
			p++
		case p < len(pattern) && (pattern[p] == anyRune || pattern[p] == r && (r != utf8.RuneError || size > 1)):
			p++
			i += size
		case star >= 0:
			_, size = utf8.DecodeRuneInString(s[from:])
			from += size
			p, i = star+1, from
		default:
			return false
		}
	}
	for p < len(pattern) && pattern[p] == anyRun {
		p++
	}
	return p == len(pattern)
}
