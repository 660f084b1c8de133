package config

import (
	"fmt"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/router"
)

func (d *decoder) rule(block *hclsyntax.Block, path string) router.Rule {
	d.in = "rule"
	if len(block.Labels) > 0 {
		d.in = fmt.Sprintf("rule %q", block.Labels[0])
	}
	d.at(path, block.DefRange())
	before := len(d.diags)
	name := d.label(block, `rule "name" { … }`)
	if len(block.LabelRanges) > 0 {
		d.at(path+".name", block.LabelRanges[0])
	}
	d.misses(path+".name", before)
	before = len(d.diags)
	d.check(block.Body, "a rule", shape{
		attributes: []string{"when", "reject", "backend", "duplicates"},
		blocks:     []string{"match", "to"},
		once:       []string{"match"},
		unknown:    inMatch,
	})
	var r router.Rule
	if i := slices.IndexFunc(block.Body.Blocks, func(b *hclsyntax.Block) bool { return b.Type == "match" }); i >= 0 {
		r.Match = d.match(block.Body.Blocks[i], path+".match")
	}
	if a := block.Body.Attributes["when"]; a != nil {
		r.When = d.when(a)
	}
	understood := len(d.diags) == before
	d.outcome(block.Body, path, &r)
	r.Name = name
	if !understood {
		// It must not be taken for a rule that matches more.
		r.When = misread{path}
		d.broken[path+".when"] = true
	}
	return r
}

// misread is the condition of a rule that was not understood; it is like no
// other. No router is made of it.
type misread struct{ path string }

func (misread) Eval(*atom.EngineCreateRequest) (bool, error) { return false, nil }
func (m misread) String() string                             { return m.path }

// inMatch helps where a matcher stands in the rule itself.
func inMatch(name string) string {
	if slices.Contains(matchers(), name) {
		return fmt.Sprintf("It belongs in a match block: match { %s = … }.", name)
	}
	return ""
}

func (d *decoder) fallback(block *hclsyntax.Block) router.Rule {
	d.in = "default"
	d.noLabels(block)
	d.at("default", block.DefRange())
	d.check(block.Body, "default", shape{
		attributes: []string{"reject", "backend", "duplicates"},
		blocks:     []string{"to"},
		unknown: func(name string) string {
			if name == "match" || name == "when" {
				return "The default is for what no rule matched. Make it a rule, and put it last."
			}
			return ""
		},
	})
	before := len(d.diags)
	var r router.Rule
	d.outcome(block.Body, "default", &r)
	if r.Reject == "" && len(r.Tiers) == 0 && len(d.diags) == before {
		d.fail(block.DefRange(), "the default leads nowhere", "Give it backend = \"…\" or reject = \"why\"; without a default block, what no rule matches is rejected.")
	}
	return r
}

// outcome decodes where a rule, or the default, leads.
func (d *decoder) outcome(body *hclsyntax.Body, path string, r *router.Rule) {
	for _, a := range attributesOf(body) {
		path := path + "." + a.Name
		before := len(d.diags)
		switch a.Name {
		case "reject":
			d.at(path, a.Expr.Range())
			if s, ok := d.text(a); ok {
				r.Reject = s
				if s == "" {
					d.fail(a.Expr.Range(), "reject gives no reason", "Say why, for those whose jobs are refused.")
				}
			}
		case "duplicates":
			if s, ok := d.text(a); ok && s != "allowed" {
				d.fail(a.Expr.Range(), fmt.Sprintf("%q is no choice for duplicates", s), "Write \"allowed\", or leave it out.")
			} else {
				r.AllowDuplicates = ok
			}
		}
		d.misses(path, before)
	}
	short := body.Attributes["backend"]
	if short != nil {
		before := len(d.diags)
		target := path + ".to[0].backends[0]"
		d.at(target, short.Expr.Range())
		if s, ok := d.text(short); ok {
			r.Tiers = append(r.Tiers, router.Tier{Targets: []router.Target{{Backend: s, Weight: 1}}})
		}
		d.misses(path+".to", before)
	}
	told := false
	for _, b := range body.Blocks {
		if b.Type != "to" {
			continue
		}
		if short != nil {
			if !told {
				d.fail(b.DefRange(), "a rule has backend or to blocks, not both", "backend = \"x\" is short for to { backends = { x = 1 } }.")
				d.broken[path+".to"] = true
			}
			told = true
			continue
		}
		r.Tiers = append(r.Tiers, d.tier(b, fmt.Sprintf("%s.to[%d]", path, len(r.Tiers))))
	}
}

func (d *decoder) tier(block *hclsyntax.Block, path string) router.Tier {
	var t router.Tier
	d.at(path, block.DefRange())
	d.noLabels(block)
	before := len(d.diags)
	d.check(block.Body, "a to block", shape{attributes: []string{"backends", "on"}, unknown: func(name string) string {
		if name == "backend" {
			return "Did you mean \"backends\"? It is a map of weights: backends = { name = 1 }."
		}
		return ""
	}})
	d.misses(path, before)
	if a := block.Body.Attributes["backends"]; a != nil {
		before := len(d.diags)
		pairs, _ := d.pairs(a.Expr, "backends is a map of weights: { name = 1 }")
		for _, p := range pairs {
			at := fmt.Sprintf("%s.backends[%d]", path, len(t.Targets))
			d.at(at, p.keyR)
			items, ok := d.pairItems(p)
			if !ok {
				continue
			}
			weight := 0
			if len(items) == 1 {
				weight, ok = d.whole("a weight", items[0])
			} else {
				d.fail(p.r, "a weight is a whole number", "This is a list.")
				ok = false
			}
			if !ok {
				weight = 1
			}
			t.Targets = append(t.Targets, router.Target{Backend: p.key, Weight: weight})
		}
		if len(d.diags) > before && len(t.Targets) == 0 {
			d.broken[path+".backends"] = true
		}
	}
	if a := block.Body.Attributes["on"]; a != nil {
		d.at(path+".on", a.Expr.Range())
		on := d.texts(a, path+".on")
		for _, s := range on {
			t.On = append(t.On, router.Cause(s))
		}
		if len(on) == 0 && !d.broken[path+".on"] {
			d.fail(a.Expr.Range(), "on lists nothing", "Leave it out for both \"unavailable\" and \"full\".")
		}
	}
	return t
}

// when decodes the condition. What would certainly fail, fails now.
func (d *decoder) when(a *hclsyntax.Attribute) router.Condition {
	vars := variables()
	if !d.references(a.Expr, vars) {
		return nil
	}
	c := newCondition(a.Expr, d.slice(a.Expr.Range()))
	unknown := make(map[string]cty.Value, len(vars))
	for name, t := range vars {
		unknown[name] = cty.UnknownVal(t)
	}
	ctx := &hcl.EvalContext{Variables: unknown, Functions: c.calls}
	before := len(d.diags)
	for _, e := range operands(a.Expr) {
		// On their own, since an unknown left side hides what is wrong on
		// the right.
		_, diags := e.Value(ctx)
		for _, diag := range diags {
			d.hcl(diag)
		}
	}
	if len(d.diags) > before {
		return nil
	}
	v, diags := a.Expr.Value(ctx)
	for _, diag := range diags {
		d.hcl(diag)
	}
	switch t := v.Type(); {
	case diags.HasErrors():
		return nil
	case v.IsNull():
		d.fail(a.Expr.Range(), "when is true or false", "This is null.")
		return nil
	case t == cty.String:
		d.fail(a.Expr.Range(), "when is true or false", "This is text. An expression stands without quotes.")
		return nil
	case t != cty.Bool && t != cty.DynamicPseudoType:
		d.fail(a.Expr.Range(), "when is true or false", "This is "+typeName(t)+".")
		return nil
	}
	return c
}

// operands are what && and || connect.
func operands(expr hclsyntax.Expression) []hclsyntax.Expression {
	switch e := expr.(type) {
	case *hclsyntax.ParenthesesExpr:
		return operands(e.Expression)
	case *hclsyntax.BinaryOpExpr:
		if e.Op == hclsyntax.OpLogicalAnd || e.Op == hclsyntax.OpLogicalOr {
			return append(operands(e.LHS), operands(e.RHS)...)
		}
	}
	return []hclsyntax.Expression{expr}
}
