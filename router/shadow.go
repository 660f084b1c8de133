package router

import (
	"slices"
	"strings"
)

// empty reports whether m holds for every request.
func (m *Match) empty() bool {
	return len(m.Name)+len(m.Image)+len(m.User)+len(m.WorkDir)+len(m.Pull)+len(m.Command)+len(m.Entrypoint) == 0 &&
		len(m.Env)+len(m.Labels) == 0 &&
		len(m.MountType)+len(m.MountSource)+len(m.MountTarget) == 0 &&
		m.CPUMin == nil && m.CPUMax == nil && m.MemoryMin == nil && m.MemoryMax == nil &&
		m.GPUsMin == nil && m.GPUsMax == nil && len(m.Not) == 0
}

// covers reports whether r provably decides every request that later would.
// It may miss some, and is never wrong about one.
func (r *Rule) covers(later *Rule) bool {
	if r.When != nil && (later.When == nil || r.When.String() != later.When.String()) {
		return false
	}
	return r.Match.covers(&later.Match)
}

// covers reports whether m provably holds whenever n does.
func (m *Match) covers(n *Match) bool {
	return coversText(m.Name, n.Name) &&
		coversText(m.Image, n.Image) &&
		coversText(m.Command, n.Command) &&
		coversText(m.Entrypoint, n.Entrypoint) &&
		coversText(m.User, n.User) &&
		coversText(m.WorkDir, n.WorkDir) &&
		coversText(m.Pull, n.Pull) &&
		coversMap(m.Labels, n.Labels) &&
		coversMap(m.Env, n.Env) &&
		coversMounts(m, n) &&
		coversBounds(m.CPUMin, n.CPUMin, m.CPUMax, n.CPUMax) &&
		coversBounds(m.MemoryMin, n.MemoryMin, m.MemoryMax, n.MemoryMax) &&
		coversBounds(m.GPUsMin, n.GPUsMin, m.GPUsMax, n.GPUsMax) &&
		coversNot(m.Not, n.Not)
}

// coversText compares patterns on a text that every request has, if only an
// empty one.
func coversText(wide, narrow []Pattern) bool {
	if len(wide) == 0 || slices.ContainsFunc(wide, func(p Pattern) bool { return p.kind == patternAll }) {
		return true
	}
	return len(narrow) > 0 && coversAll(wide, narrow)
}

// coversAll reports whether each narrow pattern lies in some wide one.
func coversAll(wide, narrow []Pattern) bool {
	for _, n := range narrow {
		if !slices.ContainsFunc(wide, func(w Pattern) bool { return w.covers(n) }) {
			return false
		}
	}
	return true
}

func coversMap(wide, narrow map[string][]Pattern) bool {
	for key, patterns := range wide {
		n, ok := narrow[key]
		if !ok || !coversAll(patterns, n) {
			return false
		}
	}
	return true
}

// coversMounts: the mount that n asks for has to be one that m asks for.
func coversMounts(m, n *Match) bool {
	if len(m.MountType)+len(m.MountSource)+len(m.MountTarget) == 0 {
		return true
	}
	return len(n.MountType)+len(n.MountSource)+len(n.MountTarget) > 0 &&
		coversText(m.MountType, n.MountType) && coversText(m.MountSource, n.MountSource) && coversText(m.MountTarget, n.MountTarget)
}

func coversBounds[N int | int64 | float64](wideMin, narrowMin, wideMax, narrowMax *N) bool {
	if wideMin != nil && *wideMin > 0 && (narrowMin == nil || *narrowMin < *wideMin) {
		return false
	}
	return wideMax == nil || narrowMax != nil && *narrowMax <= *wideMax
}

// coversNot: what must not hold in the wide match lies in what must not hold
// in the narrow one.
func coversNot(wide, narrow []Match) bool {
	for i := range wide {
		if !slices.ContainsFunc(narrow, func(n Match) bool { return n.covers(&wide[i]) }) {
			return false
		}
	}
	return true
}

// covers reports whether p provably matches everything that q does.
func (p Pattern) covers(q Pattern) bool {
	switch {
	case p.kind == patternAll, p.text == q.text:
		return true
	case p.letters&^q.letters != 0:
		return false // q matches texts without one of p's letters
	case q.kind == patternExact:
		return p.Match(q.literal)
	case p.kind == patternRegexp, p.kind == patternRunes, q.kind == patternRegexp:
		return false
	}
	// p is literals and stars. Where q's wildcards are a byte that no literal
	// holds, only a star of p can take it, and then takes whatever it stands
	// for.
	return p.Match(q.sample())
}

// sample is a glob with a byte for its wildcards that is never in UTF-8.
func (p Pattern) sample() string {
	const any = "\xff"
	switch p.kind {
	case patternAll:
		return any
	case patternPrefix:
		return p.literal + any
	case patternSuffix:
		return any + p.literal
	case patternWithin:
		return any + p.literal + any
	case patternParts:
		return strings.Join(p.rest.parts, any)
	}
	var b strings.Builder
	for _, r := range p.rest.runes {
		if r < 0 {
			b.WriteString(any)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}
