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
	return locateSteps(body, header, stepsOf(path))
}

func locateSteps(body *hclsyntax.Body, header hcl.Range, path cty.Path) (r hcl.Range, found bool) {
	if len(path) == 0 {
		return header, false
	}
	name, rest := stepName(path[0]), path[1:]
	if a := body.Attributes[name]; a != nil {
		return inside(a.Expr, rest), true
	}
	n := 0
	if len(rest) > 0 {
		if i, ok := stepIndex(rest[0]); ok {
			n, rest = i, rest[1:]
		}
	}
	for _, b := range body.Blocks {
		if b.Type != name {
			continue
		}
		if n > 0 {
			n--
			continue
		}
		if len(rest) == 0 {
			return b.DefRange(), true
		}
		r, found := locateSteps(b.Body, b.DefRange(), rest)
		if !found {
			r = b.DefRange()
		}
		return r, found
	}
	return header, false
}

// lastName is "server" of "registry_auth[0].server", and "labels" of
// `labels["a.b"]`.
func lastName(path string) string {
	name := ""
	for _, step := range stepsOf(path) {
		if s, ok := step.(cty.GetAttrStep); ok {
			name = s.Name
		}
	}
	return name
}

// stepsOf reads a path: names with dots between them, and after each "[0]" or
// `["key"]`, with a key as Go quotes it.
func stepsOf(s string) cty.Path {
	var path cty.Path
	for s != "" {
		rest, indexed := strings.CutPrefix(s, "[")
		if !indexed {
			s = strings.TrimPrefix(s, ".")
			end := strings.IndexAny(s, ".[")
			if end < 0 {
				end = len(s)
			}
			path, s = path.GetAttr(s[:end]), s[end:]
			continue
		}
		if quoted, err := strconv.QuotedPrefix(rest); err == nil {
			key, _ := strconv.Unquote(quoted) // it is well quoted
			path, s = path.IndexString(key), strings.TrimPrefix(rest[len(quoted):], "]")
			continue
		}
		text, after, _ := strings.Cut(rest, "]")
		if i, err := strconv.Atoi(text); err == nil {
			path = path.IndexInt(i)
		}
		s = after
	}
	return path
}

// inside is the range of a part of a value, as far as it is written out.
func inside(expr hclsyntax.Expression, path cty.Path) hcl.Range {
	for _, step := range path {
		next := hclsyntax.Expression(nil)
		switch e := expr.(type) {
		case *hclsyntax.TupleConsExpr:
			if i, ok := stepIndex(step); ok && i < len(e.Exprs) {
				next = e.Exprs[i]
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

// stepIndex is the number of a step that is one.
func stepIndex(step cty.PathStep) (int, bool) {
	s, ok := step.(cty.IndexStep)
	if !ok || s.Key.Type() != cty.Number {
		return 0, false
	}
	i, _ := s.Key.AsBigFloat().Int64()
	return int(i), i >= 0
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
