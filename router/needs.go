package router

import (
	"fmt"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/atom/container"
)

// CheckCapabilities finds rules whose every request needs what none of their
// backends can do. caps tells what a backend can do, false where that is not
// known; such a backend is taken to do everything.
func (c *Config) CheckCapabilities(caps func(backend string) (atom.Capabilities, bool)) []Problem {
	k := checker{config: c}
	for i := range c.Rules {
		rule := &c.Rules[i]
		if len(rule.Tiers) == 0 {
			continue
		}
		for _, need := range rule.Match.needs() {
			if !anyTarget(rule, need.capability, caps) {
				k.fail(fmt.Sprintf("rule[%d].match.%s", i, need.field),
					fmt.Sprintf("no backend of rule %q can do %s", rule.Name, need.capability),
					"All requests that it matches need that, and would be refused. Lead it to another backend.")
			}
		}
	}
	return k.problems
}

func anyTarget(rule *Rule, c atom.Capability, caps func(string) (atom.Capabilities, bool)) bool {
	for _, tier := range rule.Tiers {
		for _, target := range tier.Targets {
			if have, known := caps(target.Backend); !known || have.Has(c) {
				return true
			}
		}
	}
	return false
}

type need struct {
	field      string
	capability atom.Capability
}

// needs are what every request that m holds for needs, with the field that
// says so.
func (m *Match) needs() []need {
	var list []need
	add := func(certain bool, field string, c atom.Capability) {
		if certain {
			list = append(list, need{field, c})
		}
	}
	add(len(m.User) > 0 && anyMatch(m.User, "") < 0, "user", atom.CapUser)
	add(m.CPUMin != nil && *m.CPUMin > 0, "cpu_min", atom.CapCPU)
	add(m.MemoryMin != nil && *m.MemoryMin > 0, "memory_min", atom.CapMemory)
	add(m.GPUsMin != nil && *m.GPUsMin > 0, "gpus_min", atom.CapGPUs)
	for _, t := range []struct {
		mount container.MountType
		need  atom.Capability
	}{
		{container.MountTypeBind, atom.CapMountBind},
		{container.MountTypeVolume, atom.CapMountVolume},
		{container.MountTypeTmpfs, atom.CapMountTmpfs},
	} {
		only := len(m.MountType) > 0
		for _, p := range m.MountType {
			only = only && p.kind == patternExact && p.literal == string(t.mount)
		}
		add(only, "mount_type", t.need)
	}
	return list
}
