package router

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/atom-router/atom-router/atom"
)

// Severity says how much a Problem matters.
type Severity string

const (
	// SeverityError: no router is made of such a config.
	SeverityError Severity = "error"
	// SeverityWarning: it works, and is likely not what was meant.
	SeverityWarning Severity = "warning"
)

// Problem is one mistake in a Config.
type Problem struct {
	// Path leads to what is wrong, by the config language's names and by
	// index: "backend[0].aliases[1]", "rule[2].match.not[0].image[0]",
	// "rule[2].to[0].backends[1]", "default.to[0].on". What belongs to a
	// whole block ends there: "rule[2]".
	Path     string
	Severity Severity
	// Summary is a phrase, Detail what to do about it.
	Summary string
	Detail  string
}

func (p Problem) String() string {
	s := p.Path + ": " + p.Summary
	if p.Detail != "" {
		s += ". " + p.Detail
	}
	return s
}

// Check finds what is wrong with a config, however it was made: names,
// references, rules that can never decide. It starts nothing; what only
// plugins know, CheckCapabilities and Settings tell.
func (c *Config) Check() []Problem {
	k := checker{config: c, ruleNames: map[string]bool{}}
	k.settings()
	k.backends()
	for i := range c.Rules {
		path := fmt.Sprintf("rule[%d]", i)
		k.ruleName(path, i)
		k.outcome(path, &c.Rules[i])
		k.match(path+".match", &c.Rules[i].Match)
	}
	k.outcome("default", &c.Default)
	k.reach()
	k.unused()
	return k.problems
}

type checker struct {
	config   *Config
	problems []Problem
	// ruleNames are those seen so far.
	ruleNames map[string]bool
}

func (k *checker) fail(path, summary, detail string, args ...any) {
	k.problems = append(k.problems, Problem{path, SeverityError, summary, fmt.Sprintf(detail, args...)})
}

func (k *checker) warn(path, summary, detail string, args ...any) {
	k.problems = append(k.problems, Problem{path, SeverityWarning, summary, fmt.Sprintf(detail, args...)})
}

var (
	namePattern   = regexp.MustCompile(`^[a-z][a-z0-9-]*$`)
	pluginPattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)
	sha256Pattern = regexp.MustCompile(`^[0-9A-Fa-f]{64}$`)
)

// maxName keeps room for the rest of an ID, and for names as label values.
const maxName = 63

const nameRule = "A name is a lower-case letter, then lower-case letters, digits and '-', at most 63 in all."

func (k *checker) name(path, what, name string) bool {
	if namePattern.MatchString(name) && len(name) <= maxName {
		return true
	}
	k.fail(path, fmt.Sprintf("%q is not a %s name", cutName(name), what), nameRule)
	return false
}

func (k *checker) settings() {
	if err := atom.ValidateOwner(k.config.Owner); err != nil {
		k.fail("owner", fmt.Sprintf("%q is not an owner", cutName(k.config.Owner)),
			"An owner is 1 to 63 letters, digits, '-', '_' or '.', with a letter or digit at both ends.")
	}
}

func (k *checker) backends() {
	if len(k.config.Backends) == 0 {
		k.fail("", "there are no backends", "A config needs at least one backend block: backend \"local\" { plugin = \"process\" }.")
	}
	taken := map[string]string{} // name or alias → who has it
	for i, b := range k.config.Backends {
		path := fmt.Sprintf("backend[%d]", i)
		if k.name(path+".name", "backend", b.Name) {
			if _, ok := taken[b.Name]; ok {
				k.fail(path+".name", fmt.Sprintf("backend %q is defined twice", b.Name), "IDs begin with the backend's name, so no two may share one.")
			} else {
				taken[b.Name] = b.Name
			}
		}
		k.backend(path, &b)
	}
	for i, b := range k.config.Backends {
		for j, alias := range b.Aliases {
			path := fmt.Sprintf("backend[%d].aliases[%d]", i, j)
			if !k.name(path, "backend", alias) {
				continue
			}
			if owner, ok := taken[alias]; ok {
				k.fail(path, fmt.Sprintf("the alias %q is taken", alias), "It already leads to backend %q. IDs that begin with it can lead to one backend only.", owner)
				continue
			}
			taken[alias] = b.Name
		}
	}
}

func (k *checker) backend(path string, b *Backend) {
	if b.Address != "" {
		k.address(path, b)
	} else if b.Engine == nil {
		switch {
		case b.Plugin == "":
			k.fail(path, fmt.Sprintf("backend %q names no plugin", cutName(b.Name)), "Add plugin = \"docker\" or another: it is served by the binary atom-plugin-docker.")
		case !pluginPattern.MatchString(b.Plugin):
			k.fail(path+".plugin", fmt.Sprintf("%q is not a plugin name", cutName(b.Plugin)),
				"It is what follows \"atom-plugin-\" in the binary's name, without a path; plugin_dir says where binaries are.")
		}
	}
	if b.SHA256 != "" && !sha256Pattern.MatchString(b.SHA256) {
		k.fail(path+".sha256", "this is no SHA-256 sum", "It has %d characters; a sum is 64 hexadecimal digits, as sha256sum prints them.", len(b.SHA256))
	}
	for i, name := range b.Env {
		if name == "" || strings.ContainsAny(name, "=\x00") {
			k.fail(fmt.Sprintf("%s.env[%d]", path, i), fmt.Sprintf("%q is not a variable's name", cutName(name)),
				"env lists names of this process's variables that the plugin gets; their values are not written here.")
		}
	}
	if b.MaxAtoms < 0 {
		k.fail(path+".max_atoms", "max_atoms is negative", "Leave it out for no limit.")
	}
	if b.Retention < 0 {
		k.fail(path+".retention", "retention is negative", "Leave it out, or write \"0\", to keep stopped atoms.")
	}
}

// address checks a backend that is another router's daemon.
func (k *checker) address(path string, b *Backend) {
	if b.Plugin != "" {
		k.fail(path+".plugin", "a backend has a plugin or an address", "Another router's daemon, at the address, serves the backend; it launches the plugins. Leave out one of the two.")
	}
	if b.SHA256 != "" {
		k.fail(path+".sha256", "sha256 is for plugins", "At an address there is no binary to pin; TLS tells who serves there.")
	}
	if len(b.Env) > 0 {
		k.fail(path+".env", "env is for plugins", "A daemon at an address gets no variables of this process.")
	}
	if b.Attach != "" {
		k.fail(path+".attach", "attach is for plugins", "It is the daemon at the address that is attached to one.")
	}
	for _, f := range atom.AsFieldErrors(b.endpoint().Check()) {
		k.fail(path+"."+f.Field, "the daemon cannot be reached like this", "%s: %s.", f.Field, f.Reason)
	}
}

func (k *checker) ruleName(path string, i int) {
	name := k.config.Rules[i].Name
	path += ".name"
	if !k.name(path, "rule", name) {
		return
	}
	if name == DefaultRule {
		k.fail(path, "a rule cannot be called \"default\"", "That is what the default block is called where decisions are shown. Choose another name.")
	}
	if k.ruleNames[name] {
		k.fail(path, fmt.Sprintf("rule %q is defined twice", name), "Atoms keep the name of the rule that chose their backend, so no two may share one.")
	}
	k.ruleNames[name] = true
}

// outcome checks where a rule, or the default, leads.
func (k *checker) outcome(path string, r *Rule) {
	switch {
	case r.Reject != "" && len(r.Tiers) > 0:
		k.fail(path, "a rule cannot both reject and lead to backends", "Leave out reject, or all of backend and to.")
	case r.Reject == "" && len(r.Tiers) == 0 && path != "default":
		k.fail(path, fmt.Sprintf("rule %q leads nowhere", cutName(r.Name)), "Give it backend = \"…\", to blocks, or reject = \"why\".")
	}
	seen := map[string]bool{}
	for i, tier := range r.Tiers {
		k.tier(fmt.Sprintf("%s.to[%d]", path, i), i, &tier, seen)
	}
}

func (k *checker) tier(path string, index int, tier *Tier, seen map[string]bool) {
	if len(tier.Targets) == 0 {
		k.fail(path, "a to block names no backends", "Write backends = { name = weight }, for example backends = { docker = 1 }.")
	}
	for j, target := range tier.Targets {
		path := fmt.Sprintf("%s.backends[%d]", path, j)
		switch {
		case !k.has(target.Backend):
			k.fail(path, fmt.Sprintf("unknown backend %q", cutName(target.Backend)), "%s", k.nearBackend(target.Backend))
		case seen[target.Backend]:
			k.fail(path, fmt.Sprintf("backend %q stands twice in one rule", target.Backend), "Name each backend once; a larger weight gives it a larger share.")
		}
		seen[target.Backend] = true
		if target.Weight < 1 {
			k.fail(path, fmt.Sprintf("the weight of %q is %d", cutName(target.Backend), target.Weight), "A weight is at least 1. To send a backend nothing, leave it out, or set drain = true on the backend.")
		}
	}
	if index == 0 && len(tier.On) > 0 {
		k.fail(path+".on", "the first to block cannot have on", "on says when a block is entered after the one before it; the first is always entered.")
	}
	for j, cause := range tier.On {
		if cause != Unavailable && cause != Full {
			k.fail(fmt.Sprintf("%s.on[%d]", path, j), fmt.Sprintf("%q is not a cause", cutName(string(cause))), "on lists any of \"unavailable\" and \"full\".")
		}
	}
}

// has reports whether rules may name the backend. Aliases serve IDs alone.
func (k *checker) has(name string) bool {
	return slices.ContainsFunc(k.config.Backends, func(b Backend) bool { return b.Name == name })
}

func (k *checker) nearBackend(name string) string {
	var names []string
	for _, b := range k.config.Backends {
		if slices.Contains(b.Aliases, name) {
			return fmt.Sprintf("It is an alias of %q, for IDs of earlier atoms. Rules name backends by their present name.", b.Name)
		}
		names = append(names, b.Name)
	}
	if near := Nearest(name, names); near != "" {
		return fmt.Sprintf("Did you mean %q?", near)
	}
	if len(names) == 0 {
		return "The config has no backends."
	}
	return "The backends are " + strings.Join(names, ", ") + "."
}

func (k *checker) match(path string, m *Match) {
	checkBounds(k, path, "cpu", m.CPUMin, m.CPUMax)
	checkBounds(k, path, "memory", m.MemoryMin, m.MemoryMax)
	checkBounds(k, path, "gpus", m.GPUsMin, m.GPUsMax)
	for i := range m.Not {
		not := fmt.Sprintf("%s.not[%d]", path, i)
		if m.Not[i].empty() {
			k.fail(not, "an empty not block never lets a request through", "Say in it what must not hold, for example not { user = \"root\" }.")
		}
		k.match(not, &m.Not[i])
	}
}

func checkBounds[N int | int64 | float64](k *checker, path, field string, low, high *N) {
	if low != nil && high != nil && *low > *high {
		k.fail(path+"."+field+"_max", fmt.Sprintf("%[1]s_max is less than %[1]s_min", field), "No request lies between %v and %v.", *low, *high)
	}
}

// maxReach is how many rules are held against one another: it takes some tens
// of milliseconds, and four times that for twice as many.
const maxReach = 2000

// reach finds rules that no request can come to.
func (k *checker) reach() {
	rules := k.config.Rules
	for j := range min(len(rules), maxReach) {
		for i := range j {
			if !rules[i].covers(&rules[j]) {
				continue
			}
			detail := "Rule %q before it matches everything that this one does. Move this rule before that one, or narrow that one."
			if rules[i].Match.empty() {
				detail = "Rule %q before it matches every request. Move this rule before that one."
			}
			k.fail(fmt.Sprintf("rule[%d]", j), fmt.Sprintf("rule %q can never be reached", cutName(rules[j].Name)), detail, cutName(rules[i].Name))
			break
		}
	}
}

func (k *checker) unused() {
	used := map[string]bool{}
	for _, r := range append(slices.Clone(k.config.Rules), k.config.Default) {
		for _, tier := range r.Tiers {
			for _, target := range tier.Targets {
				used[target.Backend] = true
			}
		}
	}
	for i, b := range k.config.Backends {
		if !used[b.Name] && !b.Drain {
			k.warn(fmt.Sprintf("backend[%d]", i), fmt.Sprintf("no rule leads to backend %q", cutName(b.Name)),
				"It gets no new atoms. If it is kept for the atoms it has, say drain = true.")
		}
	}
}

// cutName shortens a name that a problem quotes.
func cutName(s string) string {
	if len(s) <= maxName {
		return s
	}
	return strings.ToValidUTF8(s[:maxName], "") + "…"
}
