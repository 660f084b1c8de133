package router

import (
	"cmp"
	"slices"
)

// sortedKeys are the maps of a Match as lists: a decision goes over those of
// thousands of rules, and over a list it goes three times as fast.
type sortedKeys struct{ labels, env []keyPatterns }

type keyPatterns struct {
	key      string
	patterns []Pattern
}

// prepared returns rules for decide, which takes others too and is slower at
// their Labels and Env. Routers call it once.
func prepared(rules []Rule) []Rule {
	rules = slices.Clone(rules)
	for i := range rules {
		rules[i].Match.prepare()
	}
	return rules
}

func (m *Match) prepare() {
	m.sorted = &sortedKeys{sortKeys(m.Labels), sortKeys(m.Env)}
	m.Not = slices.Clone(m.Not)
	for i := range m.Not {
		m.Not[i].prepare()
	}
}

func sortKeys(m map[string][]Pattern) []keyPatterns {
	if len(m) == 0 {
		return nil
	}
	list := make([]keyPatterns, 0, len(m))
	for key, patterns := range m {
		list = append(list, keyPatterns{key, patterns})
	}
	slices.SortFunc(list, func(a, b keyPatterns) int { return cmp.Compare(a.key, b.key) })
	return list
}
