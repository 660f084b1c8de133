package router

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/atom/container"
)

// view is a request as matchers see it. It is made once for a decision, so
// that a rule costs no allocation.
type view struct {
	request    *atom.EngineCreateRequest
	image      imageForms
	command    string
	entrypoint string
	pull       string
	mounts     []container.Mount // paths cleaned
	labels     lastValue
	env        lastValue
}

// lastValue is a map that remembers the key it was asked for last: rules that
// follow one another ask for the same.
type lastValue struct {
	in    map[string]string
	key   string
	value string
	ok    bool
}

func (l *lastValue) get(key string) (string, bool) {
	if l.key != key || key == "" {
		l.key = key
		l.value, l.ok = l.in[key]
	}
	return l.value, l.ok
}

func viewOf(r *atom.EngineCreateRequest) view {
	v := view{
		request:    r,
		image:      formsOf(r.Image),
		command:    strings.Join(r.Command, " "),
		entrypoint: strings.Join(r.Spec.Entrypoint, " "),
		pull:       string(r.Spec.PullPolicy),
		mounts:     slices.Clone(r.Spec.Mounts),
		labels:     lastValue{in: r.Spec.Labels},
		env:        lastValue{in: r.Spec.Env},
	}
	if v.pull == "" {
		v.pull = string(container.PullIfNotPresent)
	}
	for i := range v.mounts {
		m := &v.mounts[i]
		if m.Source != "" {
			m.Source = path.Clean(m.Source)
		}
		if m.Target != "" {
			m.Target = path.Clean(m.Target)
		}
	}
	return v
}

// Holds reports whether m holds for r. Decisions do not call it: they prepare
// a request once for all rules.
func (m *Match) Holds(r *atom.EngineCreateRequest) bool {
	v := viewOf(r)
	return m.holds(&v, nil)
}

// holds reports whether m holds. Where why is given, it is set to the first
// condition that did not, or to all that did.
func (m *Match) holds(v *view, why *reasons) bool {
	r, spec := v.request, &v.request.Spec
	return (len(m.Name) == 0 || matchText(m.Name, "name", r.Name, why)) &&
		(len(m.Image) == 0 || matchImage(m.Image, v, why)) &&
		(len(m.Command) == 0 || matchText(m.Command, "command", v.command, why)) &&
		(len(m.Entrypoint) == 0 || matchText(m.Entrypoint, "entrypoint", v.entrypoint, why)) &&
		(len(m.User) == 0 || matchText(m.User, "user", spec.User, why)) &&
		(len(m.WorkDir) == 0 || matchText(m.WorkDir, "workdir", spec.WorkDir, why)) &&
		(len(m.Pull) == 0 || matchText(m.Pull, "pull", v.pull, why)) &&
		m.matchKeys(v, why) &&
		m.matchMounts(v, why) &&
		matchBounds("cpu", spec.Resources.CPU, m.CPUMin, m.CPUMax, why) &&
		matchBounds("memory", spec.Resources.Memory, m.MemoryMin, m.MemoryMax, why) &&
		matchBounds("gpus", spec.Resources.GPUs, m.GPUsMin, m.GPUsMax, why) &&
		m.matchNot(v, why)
}

// reasons collects what a Match found, for people.
type reasons struct{ list []string }

// add notes something; nothing is formatted where nobody asks.
func (w *reasons) add(format string, args ...any) {
	w.list = append(w.list, fmt.Sprintf(format, args...))
}

// fail leaves only what failed.
func (w *reasons) fail(format string, args ...any) bool {
	w.list = w.list[:0]
	w.add(format, args...)
	return false
}

func (w *reasons) String() string { return strings.Join(w.list, "; ") }

// anyMatch returns the first pattern that matches s, or -1.
func anyMatch(patterns []Pattern, s string) int {
	for i := range patterns {
		if patterns[i].match(s) {
			return i
		}
	}
	return -1
}

// anyOrNone reports whether a pattern matches s, or there is none.
func anyOrNone(patterns []Pattern, s string) bool {
	return len(patterns) == 0 || anyMatch(patterns, s) >= 0
}

func matchText(patterns []Pattern, field, s string, why *reasons) bool {
	i := anyMatch(patterns, s)
	if why == nil {
		return i >= 0
	}
	if i < 0 {
		return why.fail("%s %s matches %s", field, excerpt(s), noneOf(patterns))
	}
	why.add("%s %s matches %q", field, excerpt(s), patterns[i])
	return true
}

func matchImage(patterns []Pattern, v *view, why *reasons) bool {
	for i := range patterns {
		if p := &patterns[i]; p.letters&^v.image.letters != 0 || !v.image.match(p) {
			continue
		}
		if why != nil {
			form := slices.IndexFunc(v.image.list(), patterns[i].match)
			why.add("image %s matches %q", excerpt(v.image.forms[form]), patterns[i])
		}
		return true
	}
	if why != nil {
		why.fail("image %s matches %s", excerpt(v.request.Image), noneOf(patterns))
	}
	return false
}

// matchKeys asks for labels and env. Values of env may be secrets and are not
// shown.
func (m *Match) matchKeys(v *view, why *reasons) bool {
	if len(m.Labels)+len(m.Env) == 0 {
		return true
	}
	sorted := m.sorted
	if sorted == nil {
		sorted = &sortedKeys{sortKeys(m.Labels), sortKeys(m.Env)}
	}
	return matchMap(sorted.labels, "label", &v.labels, true, why) && matchMap(sorted.env, "env", &v.env, false, why)
}

func matchMap(want []keyPatterns, field string, have *lastValue, show bool, why *reasons) bool {
	for i := range want {
		key, patterns := want[i].key, want[i].patterns
		value, ok := have.get(key)
		match := -1
		if ok {
			match = anyMatch(patterns, value)
		}
		switch {
		case why == nil && match < 0:
			return false
		case why == nil:
		case !ok:
			return why.fail("%s %q is not set", field, key)
		case match < 0 && show:
			return why.fail("%s %q is %s, which matches %s", field, key, excerpt(value), noneOf(patterns))
		case match < 0:
			return why.fail("%s %q matches %s", field, key, noneOf(patterns))
		case show:
			why.add("%s %q is %s, which matches %q", field, key, excerpt(value), patterns[match])
		default:
			why.add("%s %q matches %q", field, key, patterns[match])
		}
	}
	return true
}

// matchMounts looks for one mount that all mount patterns match.
func (m *Match) matchMounts(v *view, why *reasons) bool {
	if len(m.MountType) == 0 && len(m.MountSource) == 0 && len(m.MountTarget) == 0 {
		return true
	}
	for i := range v.mounts {
		mount := &v.mounts[i]
		if anyOrNone(m.MountType, string(mount.Type)) && anyOrNone(m.MountSource, mount.Source) && anyOrNone(m.MountTarget, mount.Target) {
			if why != nil {
				why.add("mount %s matches %s", describeMount(*mount), m.mountPatterns())
			}
			return true
		}
	}
	switch {
	case why == nil:
	case len(v.mounts) == 0:
		why.fail("there are no mounts, asked for %s", m.mountPatterns())
	default:
		why.fail("no mount matches %s", m.mountPatterns())
	}
	return false
}

func (m *Match) mountPatterns() string {
	var parts []string
	for _, p := range []struct {
		field    string
		patterns []Pattern
	}{{"type", m.MountType}, {"source", m.MountSource}, {"target", m.MountTarget}} {
		if len(p.patterns) > 0 {
			parts = append(parts, p.field+" "+quoteAll(p.patterns, " or "))
		}
	}
	return strings.Join(parts, " and ")
}

func describeMount(m container.Mount) string {
	if m.Source == "" {
		return fmt.Sprintf("%s at %s", m.Type, excerpt(m.Target))
	}
	return fmt.Sprintf("%s of %s at %s", m.Type, excerpt(m.Source), excerpt(m.Target))
}

func matchBounds[N int | int64 | float64](field string, have N, low, high *N, why *reasons) bool {
	if low != nil && have < *low {
		if why != nil {
			why.fail("%s %v is less than %v", field, have, *low)
		}
		return false
	}
	if high != nil && have > *high {
		if why != nil {
			why.fail("%s %v is more than %v", field, have, *high)
		}
		return false
	}
	if why == nil {
		return true
	}
	if low != nil {
		why.add("%s %v is at least %v", field, have, *low)
	}
	if high != nil {
		why.add("%s %v is at most %v", field, have, *high)
	}
	return true
}

func (m *Match) matchNot(v *view, why *reasons) bool {
	for i := range m.Not {
		if !m.Not[i].holds(v, nil) {
			continue
		}
		if why != nil {
			var inner reasons
			m.Not[i].holds(v, &inner)
			why.fail("not: %s", inner.String())
		}
		return false
	}
	return true
}

// excerptLimit is how much of a request's text a reason repeats.
const excerptLimit = 120

func excerpt(s string) string {
	if len(s) > excerptLimit {
		return fmt.Sprintf("%q…", s[:excerptLimit])
	}
	return fmt.Sprintf("%q", s)
}

func noneOf(patterns []Pattern) string { return "none of " + quoteAll(patterns, ", ") }

func quoteAll(patterns []Pattern, between string) string {
	quoted := make([]string, len(patterns))
	for i, p := range patterns {
		quoted[i] = fmt.Sprintf("%q", p)
	}
	return strings.Join(quoted, between)
}
