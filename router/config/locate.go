package config

import (
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// locate finds what a path such as "registry_auth[0].server" means in a body:
// the value of an attribute, or the header of a block. found is false where
// nothing of the path is there; the range is then header.
func locate(body *hclsyntax.Body, header hcl.Range, path string) (r hcl.Range, found bool) {
	name, rest, _ := strings.Cut(path, ".")
	name, index := splitIndex(name)
	if a := body.Attributes[name]; a != nil {
		_, indexes, _ := strings.Cut(path, name)
		return inside(a.Expr, steps(indexes)), true
	}
	n := 0
	for _, b := range body.Blocks {
		if b.Type != name {
			continue
		}
		if n < index {
			n++
			continue
		}
		if rest == "" {
			return b.DefRange(), true
		}
		r, found := locate(b.Body, b.DefRange(), rest)
		if !found {
			r = b.DefRange()
		}
		return r, found
	}
	return header, false
}

// lastName is "server" of "registry_auth[0].server".
func lastName(path string) string {
	name, _ := splitIndex(path[strings.LastIndexByte(path, '.')+1:])
	return name
}

// splitIndex takes "x[3]" apart; without an index it is the first.
func splitIndex(s string) (string, int) {
	name, rest, ok := strings.Cut(s, "[")
	if !ok {
		return s, 0
	}
	i, err := strconv.Atoi(strings.TrimSuffix(rest, "]"))
	if err != nil {
		i = 0
	}
	return name, i
}

// steps reads what follows an attribute's name: "[0].server", `["key"]`.
func steps(s string) cty.Path {
	var path cty.Path
	for part := range strings.FieldsFuncSeq(s, func(r rune) bool { return r == '.' || r == '[' || r == ']' }) {
		if i, err := strconv.Atoi(part); err == nil {
			path = path.IndexInt(i)
			continue
		}
		path = path.GetAttr(strings.Trim(part, `"`))
	}
	return path
}

// inside is the range of a part of a value, as far as it is written out.
func inside(expr hclsyntax.Expression, path cty.Path) hcl.Range {
	for _, step := range path {
		next := hclsyntax.Expression(nil)
		switch e := expr.(type) {
		case *hclsyntax.TupleConsExpr:
			if i, ok := step.(cty.IndexStep); ok && i.Key.Type() == cty.Number {
				if n, _ := i.Key.AsBigFloat().Int64(); n >= 0 && n < int64(len(e.Exprs)) {
					next = e.Exprs[n]
				}
			}
		case *hclsyntax.ObjectConsExpr:
			for _, entry := range e.Items {
				k, diags := entry.KeyExpr.Value(nil)
				if !diags.HasErrors() && k.Type() == cty.String && k.IsKnown() && !k.IsNull() && k.AsString() == stepName(step) {
					next = entry.ValueExpr
				}
			}
		}
		if next == nil {
			break
		}
		expr = next
	}
	return expr.Range()
}

func stepName(step cty.PathStep) string {
	switch s := step.(type) {
	case cty.GetAttrStep:
		return s.Name
	case cty.IndexStep:
		if s.Key.Type() == cty.String {
			return s.Key.AsString()
		}
	}
	return ""
}
