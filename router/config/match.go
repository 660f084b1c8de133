package config

import (
	"fmt"
	"strings"

	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/atom-router/atom-router/router"
)

func matchers() []string {
	return []string{
		"name", "image", "command", "entrypoint", "user", "workdir", "pull", "env", "labels",
		"mount_type", "mount_source", "mount_target",
		"cpu_min", "cpu_max", "memory_min", "memory_max", "gpus_min", "gpus_max",
	}
}

func (d *decoder) match(block *hclsyntax.Block, path string) router.Match {
	var m router.Match
	d.at(path, block.DefRange())
	d.noLabels(block)
	d.check(block.Body, "a "+block.Type+" block", shape{attributes: matchers(), blocks: []string{"not"}})
	texts := map[string]*[]router.Pattern{
		"name": &m.Name, "image": &m.Image, "command": &m.Command, "entrypoint": &m.Entrypoint,
		"user": &m.User, "workdir": &m.WorkDir, "pull": &m.Pull,
		"mount_type": &m.MountType, "mount_source": &m.MountSource, "mount_target": &m.MountTarget,
	}
	maps := map[string]*map[string][]router.Pattern{"env": &m.Env, "labels": &m.Labels}
	for _, a := range attributesOf(block.Body) {
		path := path + "." + a.Name
		d.at(path, a.Expr.Range())
		before := len(d.diags)
		if patterns, ok := texts[a.Name]; ok {
			items, ok := d.items(a.Expr)
			*patterns = d.patterns(a.Name, items)
			if ok && len(items) == 0 {
				d.fail(a.Expr.Range(), a.Name+" lists nothing", "No request could match. Leave it out to match all.")
			}
		} else if entries, ok := maps[a.Name]; ok {
			*entries = d.matchMap(a)
		} else {
			d.bound(a, &m)
		}
		d.misses(path, before)
	}
	for _, b := range block.Body.Blocks {
		if b.Type == "not" {
			m.Not = append(m.Not, d.match(b, fmt.Sprintf("%s.not[%d]", path, len(m.Not))))
		}
	}
	return m
}

func (d *decoder) matchMap(a *hclsyntax.Attribute) map[string][]router.Pattern {
	pairs, ok := d.pairs(a.Expr, a.Name+" is a map: { key = \"pattern\" }")
	if ok && len(pairs) == 0 {
		d.fail(a.Expr.Range(), a.Name+" lists nothing", "Leave it out to match all.")
	}
	m := make(map[string][]router.Pattern, len(pairs))
	for _, p := range pairs {
		items, ok := d.pairItems(p)
		m[p.key] = d.patterns(a.Name+"."+p.key, items)
		if ok && len(items) == 0 {
			d.fail(p.r, fmt.Sprintf("%s.%s lists nothing", a.Name, p.key), "No request could match. Write \"*\" to ask only that the key is there.")
		}
	}
	return m
}

// bound decodes one of cpu_min and its like.
func (d *decoder) bound(a *hclsyntax.Attribute, m *router.Match) {
	isMin := strings.HasSuffix(a.Name, "_min")
	switch a.Name {
	case "cpu_min", "cpu_max":
		set(isMin, &m.CPUMin, &m.CPUMax, amount(d, a, ParseCPU))
	case "memory_min", "memory_max":
		set(isMin, &m.MemoryMin, &m.MemoryMax, amount(d, a, ParseMemory))
	case "gpus_min", "gpus_max":
		v, ok := d.value(a.Expr)
		if !ok {
			return
		}
		n, ok := d.whole(a.Name, item{v, a.Expr.Range()})
		if !ok {
			return
		}
		if n < 0 {
			d.fail(a.Expr.Range(), a.Name+" is negative", "A number of devices is 0 or more.")
			return
		}
		set(isMin, &m.GPUsMin, &m.GPUsMax, &n)
	}
}

func set[N any](isMin bool, low, high **N, n *N) {
	if isMin {
		*low = n
	} else {
		*high = n
	}
}
