package config

import (
	"fmt"
	"math"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/atom-router/atom-router/router"
)

// value evaluates an attribute's expression, which names no variables. It
// reports false, having said why, where there is no value.
func (d *decoder) value(expr hclsyntax.Expression) (cty.Value, bool) {
	if !d.references(expr, nil) {
		return cty.NilVal, false
	}
	v, diags := expr.Value(&hcl.EvalContext{Functions: d.calls})
	if diags.HasErrors() {
		for _, diag := range diags {
			d.hcl(diag)
		}
		return cty.NilVal, false
	}
	v, _ = v.UnmarkDeep()
	if v.IsNull() || !v.IsWhollyKnown() {
		d.fail(expr.Range(), "this is null", "Leave the attribute out instead.")
		return cty.NilVal, false
	}
	return v, true
}

// item is a value with its place.
type item struct {
	value cty.Value
	r     hcl.Range
}

// items are the elements of a list, or the one value that is none.
func (d *decoder) items(expr hclsyntax.Expression) ([]item, bool) {
	if tuple, ok := expr.(*hclsyntax.TupleConsExpr); ok {
		all, list := true, make([]item, 0, len(tuple.Exprs))
		for _, e := range tuple.Exprs {
			v, ok := d.value(e)
			if ok {
				list = append(list, item{v, e.Range()})
			}
			all = all && ok
		}
		return list, all
	}
	v, ok := d.value(expr)
	if !ok {
		return nil, false
	}
	if t := v.Type(); t.IsTupleType() || t.IsListType() || t.IsSetType() {
		var list []item
		for _, e := range v.AsValueSlice() {
			list = append(list, item{e, expr.Range()})
		}
		return list, true
	}
	return []item{{v, expr.Range()}}, true
}

// pair is an entry of a map with its places.
type pair struct {
	key  string
	keyR hcl.Range
	// expr is the value's expression where it stands in the file.
	expr  hclsyntax.Expression
	value cty.Value
	r     hcl.Range
}

// pairs are the entries of a map, in the order of the file.
func (d *decoder) pairs(expr hclsyntax.Expression, what string) ([]pair, bool) {
	before := len(d.diags)
	object, ok := expr.(*hclsyntax.ObjectConsExpr)
	if !ok {
		v, ok := d.value(expr)
		if !ok {
			return nil, false
		}
		if !v.Type().IsObjectType() && !v.Type().IsMapType() {
			d.fail(expr.Range(), what, "This is "+typeName(v.Type())+".")
			return nil, false
		}
		var list []pair
		for it := v.ElementIterator(); it.Next(); {
			k, e := it.Element()
			list = append(list, pair{key: k.AsString(), keyR: expr.Range(), value: e, r: expr.Range()})
		}
		return list, true
	}
	var list []pair
	seen := map[string]hcl.Range{}
	for _, entry := range object.Items {
		k, ok := d.value(entry.KeyExpr)
		if !ok {
			continue
		}
		if k.Type() != cty.String {
			d.fail(entry.KeyExpr.Range(), "a key must be text", "This is "+typeName(k.Type())+".")
			continue
		}
		key := k.AsString()
		if first, ok := seen[key]; ok {
			d.fail(entry.KeyExpr.Range(), fmt.Sprintf("%q stands twice", key), fmt.Sprintf("It is also in line %d.", first.Start.Line))
			continue
		}
		seen[key] = entry.KeyExpr.Range()
		list = append(list, pair{key: key, keyR: entry.KeyExpr.Range(), expr: entry.ValueExpr, r: entry.ValueExpr.Range()})
	}
	return list, len(d.diags) == before
}

// items are those of the pair's value.
func (d *decoder) pairItems(p pair) ([]item, bool) {
	if p.expr != nil {
		return d.items(p.expr)
	}
	if t := p.value.Type(); t.IsTupleType() || t.IsListType() || t.IsSetType() {
		var list []item
		for _, e := range p.value.AsValueSlice() {
			list = append(list, item{e, p.r})
		}
		return list, true
	}
	return []item{{p.value, p.r}}, true
}

// text is a string attribute.
func (d *decoder) text(a *hclsyntax.Attribute) (string, bool) {
	v, ok := d.value(a.Expr)
	if !ok {
		return "", false
	}
	return d.itemText(a.Name, item{v, a.Expr.Range()})
}

func (d *decoder) itemText(name string, i item) (string, bool) {
	if i.value.IsNull() || i.value.Type() != cty.String {
		d.fail(i.r, name+" takes text", "This is "+valueName(i.value)+". A text stands in quotes.")
		return "", false
	}
	return i.value.AsString(), true
}

// texts is an attribute that is a string or a list of strings; their paths are
// noted under path.
func (d *decoder) texts(a *hclsyntax.Attribute, path string) []string {
	before := len(d.diags)
	items, _ := d.items(a.Expr)
	var list []string
	for i, it := range items {
		s, ok := d.itemText(a.Name, it)
		if ok {
			d.at(fmt.Sprintf("%s[%d]", path, i), it.r)
		}
		list = append(list, s)
	}
	if d.misses(path, before) {
		return nil
	}
	return list
}

// patterns are those of an attribute's or a key's items.
func (d *decoder) patterns(name string, items []item) []router.Pattern {
	var list []router.Pattern
	for _, it := range items {
		s, ok := d.itemText(name, it)
		if !ok {
			continue
		}
		p, err := router.ParsePattern(s)
		if err != nil {
			d.fail(it.r, "this is no pattern", sentence(err.Error())+" A pattern is a glob (\"*\" crosses \"/\" and \":\"), or a regular expression after \"re:\".")
			continue
		}
		list = append(list, p)
	}
	return list
}

func (d *decoder) boolean(a *hclsyntax.Attribute) (is, ok bool) {
	v, ok := d.value(a.Expr)
	if ok && v.Type() != cty.Bool {
		d.fail(a.Expr.Range(), a.Name+" is true or false", "This is "+valueName(v)+"."+unquoted(v))
		return false, false
	}
	return ok && v.True(), ok
}

// whole is an attribute, or an entry of a map, that is a whole number.
func (d *decoder) whole(name string, i item) (int, bool) {
	if i.value.IsNull() || i.value.Type() != cty.Number {
		d.fail(i.r, name+" is a whole number", "This is "+valueName(i.value)+"."+unquoted(i.value))
		return 0, false
	}
	n, exact := i.value.AsBigFloat().Int64()
	if exact != 0 || n > math.MaxInt32 || n < math.MinInt32 {
		d.fail(i.r, name+" is a whole number", "This has a fraction, or is too large.")
		return 0, false
	}
	return int(n), true
}

// amount is an attribute that is a number, or a text that parse understands.
func amount[N int64 | float64](d *decoder, a *hclsyntax.Attribute, parse func(string) (N, error)) *N {
	v, ok := d.value(a.Expr)
	if !ok {
		return nil
	}
	var s string
	switch v.Type() {
	case cty.String:
		s = v.AsString()
	case cty.Number:
		s = v.AsBigFloat().Text('f', -1)
	default:
		d.fail(a.Expr.Range(), a.Name+" is an amount", "This is "+valueName(v)+".")
		return nil
	}
	n, err := parse(s)
	if err != nil {
		d.fail(a.Expr.Range(), a.Name+" is an amount", sentence(err.Error()))
		return nil
	}
	return &n
}

// typeName is a type in words.
func typeName(t cty.Type) string {
	switch {
	case t == cty.String:
		return "text"
	case t == cty.Number:
		return "a number"
	case t == cty.Bool:
		return "true or false"
	case t.IsListType(), t.IsTupleType(), t.IsSetType():
		return "a list"
	case t.IsMapType(), t.IsObjectType():
		return "a map"
	}
	return "something else"
}

func valueName(v cty.Value) string {
	if v.IsNull() {
		return "null"
	}
	return typeName(v.Type())
}

// unquoted helps where quotes are too many.
func unquoted(v cty.Value) string {
	if v.IsNull() || v.Type() != cty.String {
		return ""
	}
	return " It stands without quotes."
}

// sentence makes one of an error's text.
func sentence(s string) string {
	if s == "" || slices.Contains([]byte(".!?"), s[len(s)-1]) {
		return s
	}
	return s + "."
}
