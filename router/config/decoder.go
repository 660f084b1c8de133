package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"

	"github.com/atom-router/atom-router/router"
)

// decoder makes a router.Config of a syntax tree and collects what is wrong.
type decoder struct {
	source *source
	diags  Diagnostics
	// in names the block being decoded.
	in    string
	calls map[string]function.Function
	// ranges are where the paths of router.Problem are in the file, and
	// within the blocks that they are in.
	ranges map[string]hcl.Range
	within map[string]string
	// broken are paths that were not understood, about which no more is to
	// be said.
	broken map[string]bool
}

func newDecoder(s *source) *decoder {
	return &decoder{
		source: s, calls: functions(),
		ranges: map[string]hcl.Range{}, within: map[string]string{}, broken: map[string]bool{},
	}
}

func (d *decoder) add(severity router.Severity, r hcl.Range, summary, detail string) {
	d.diags = append(d.diags, Diagnostic{Severity: severity, Summary: summary, Detail: detail, Range: r, in: d.in, source: d.source})
}

func (d *decoder) fail(r hcl.Range, summary, detail string) {
	d.add(router.SeverityError, r, summary, detail)
}

// at notes where a path is.
func (d *decoder) at(path string, r hcl.Range) {
	d.ranges[path] = r
	d.within[path] = d.in
}

// misses reports whether decoding something added errors, and if so marks its
// path as broken.
func (d *decoder) misses(path string, before int) bool {
	if len(d.diags) == before {
		return false
	}
	d.broken[path] = true
	return true
}

// problems adds what router.Check found, with ranges. Where something was not
// understood, what it leads to is not told again.
func (d *decoder) problems(problems []router.Problem) {
	for _, p := range problems {
		if p.Severity == router.SeverityWarning && len(d.broken) > 0 || d.follows(p.Path) {
			continue
		}
		r, in := d.place(p.Path)
		d.diags = append(d.diags, Diagnostic{Severity: p.Severity, Summary: p.Summary, Detail: p.Detail, Range: r, in: in, source: d.source})
	}
}

func (d *decoder) follows(path string) bool {
	for b := range d.broken {
		if under(b, path) || under(path, b) {
			return true
		}
	}
	return false
}

// under reports whether path is inside of, or is, the other.
func under(path, outer string) bool {
	rest, ok := strings.CutPrefix(path, outer)
	return ok && (rest == "" || outer == "" || rest[0] == '.' || rest[0] == '[')
}

// place is the range of a path, or of the nearest one around it.
func (d *decoder) place(path string) (hcl.Range, string) {
	for {
		if r, ok := d.ranges[path]; ok {
			return r, d.within[path]
		}
		i := strings.LastIndexAny(path, ".[")
		if i < 0 {
			return d.source.start(), ""
		}
		path = path[:i]
	}
}

// shape says what may stand in a body.
type shape struct {
	attributes []string
	blocks     []string
	// once are the blocks that may stand only once.
	once []string
	// unknown, where set, says more about names that are neither.
	unknown func(name string) string
}

// check finds attributes and blocks that may not stand in a body, or not so
// often. what names the body.
func (d *decoder) check(body *hclsyntax.Body, what string, s shape) {
	for _, a := range attributesOf(body) {
		switch {
		case slices.Contains(s.attributes, a.Name):
		case slices.Contains(s.blocks, a.Name):
			d.fail(a.NameRange, fmt.Sprintf("%s is a block", a.Name), fmt.Sprintf("Write %s { … }, without \"=\".", a.Name))
		default:
			d.fail(a.NameRange, fmt.Sprintf("unknown attribute %q", a.Name), s.near(a.Name, what, "attributes", s.attributes, s.blocks))
		}
	}
	seen := map[string]hcl.Range{}
	for _, b := range body.Blocks {
		switch {
		case slices.Contains(s.blocks, b.Type):
			if first, ok := seen[b.Type]; ok && slices.Contains(s.once, b.Type) {
				d.fail(b.DefRange(), fmt.Sprintf("there is a second %s block", b.Type), fmt.Sprintf("The first is in line %d; %s has at most one.", first.Start.Line, what))
				continue
			}
			seen[b.Type] = b.DefRange()
		case slices.Contains(s.attributes, b.Type):
			d.fail(b.DefRange(), fmt.Sprintf("%s is an attribute", b.Type), fmt.Sprintf("Write it with \"=\": %s = …", b.Type))
		default:
			d.fail(b.DefRange(), fmt.Sprintf("unknown block %q", b.Type), s.near(b.Type, what, "blocks", s.blocks, s.attributes))
		}
	}
}

// near says what may have been meant by a name, or what else there is.
func (s *shape) near(name, what, kind string, same, other []string) string {
	if s.unknown != nil {
		if detail := s.unknown(name); detail != "" {
			return detail
		}
	}
	if near := router.Nearest(name, append(slices.Clone(same), other...)); near != "" {
		return fmt.Sprintf("Did you mean %q?", near)
	}
	if len(same) == 0 {
		return fmt.Sprintf("There are no %s in %s.", kind, what)
	}
	return fmt.Sprintf("The %s of %s are %s.", kind, what, strings.Join(same, ", "))
}

// attributesOf lists attributes in the order of the file.
func attributesOf(body *hclsyntax.Body) []*hclsyntax.Attribute {
	return slices.SortedFunc(maps.Values(body.Attributes), func(a, b *hclsyntax.Attribute) int {
		return a.NameRange.Start.Byte - b.NameRange.Start.Byte
	})
}

// labels checks that a block has its labels, and returns the first.
func (d *decoder) label(b *hclsyntax.Block, example string) string {
	switch {
	case len(b.Labels) == 0:
		d.fail(b.TypeRange, fmt.Sprintf("a %s block needs a name", b.Type), "Write it as "+example+".")
		return ""
	case len(b.Labels) > 1:
		d.fail(b.LabelRanges[1], fmt.Sprintf("a %s block has one name", b.Type), "Write it as "+example+".")
	}
	return b.Labels[0]
}

func (d *decoder) noLabels(b *hclsyntax.Block) {
	if len(b.Labels) > 0 {
		d.fail(b.LabelRanges[0], fmt.Sprintf("a %s block has no name", b.Type), fmt.Sprintf("Write it as %s { … }.", b.Type))
	}
}

// references checks that an expression names only what there is: variables
// (nil for none) and functions.
func (d *decoder) references(expr hclsyntax.Expression, vars map[string]cty.Type) bool {
	before := len(d.diags)
	for _, t := range expr.Variables() {
		d.variable(t, vars)
	}
	_ = hclsyntax.VisitAll(expr, func(n hclsyntax.Node) hcl.Diagnostics {
		call, ok := n.(*hclsyntax.FunctionCallExpr)
		if !ok {
			return nil
		}
		if _, known := d.calls[call.Name]; !known || call.Name == withKey {
			d.fail(call.NameRange, fmt.Sprintf("unknown function %q", call.Name), didYouMean(call.Name, "The functions are %s.", d.functionNames()))
		}
		return nil
	})
	return len(d.diags) == before
}

func (d *decoder) functionNames() []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(d.calls)), func(s string) bool { return s == withKey })
}

func (d *decoder) variable(t hcl.Traversal, vars map[string]cty.Type) {
	name, r := t.RootName(), t[0].SourceRange()
	if vars == nil {
		if near := router.Nearest(name, []string{"true", "false"}); near != "" && len(t) == 1 {
			d.fail(r, fmt.Sprintf("%q is no value", name), fmt.Sprintf("Did you mean %s?", near))
			return
		}
		d.fail(t.SourceRange(), fmt.Sprintf("%q is no value", d.slice(t.SourceRange())), fmt.Sprintf("There are no variables here. A text stands in quotes: %q.", d.slice(t.SourceRange())))
		return
	}
	typ, ok := vars[name]
	if !ok {
		detail := didYouMean(name, "The variables are %s.", slices.Sorted(maps.Keys(vars)))
		if len(t) == 1 && !strings.HasPrefix(detail, "Did") {
			detail += fmt.Sprintf(" A text stands in quotes: %q.", name)
		}
		d.fail(r, fmt.Sprintf("unknown variable %q", name), detail)
		return
	}
	if !typ.IsObjectType() || len(t) < 2 {
		return
	}
	if step, ok := t[1].(hcl.TraverseAttr); ok && !typ.HasAttribute(step.Name) {
		d.fail(step.SrcRange, fmt.Sprintf("%s has no %q", name, step.Name),
			didYouMean(step.Name, "It has %s.", slices.Sorted(maps.Keys(typ.AttributeTypes()))))
	}
}

// slice is the text of a range on one line.
func (d *decoder) slice(r hcl.Range) string {
	if r.Start.Byte < 0 || r.End.Byte > len(d.source.text) || r.Start.Byte > r.End.Byte {
		return ""
	}
	return strings.Join(strings.Fields(string(d.source.text[r.Start.Byte:r.End.Byte])), " ")
}

func didYouMean(name, otherwise string, names []string) string {
	if near := router.Nearest(name, names); near != "" {
		return fmt.Sprintf("Did you mean %q?", near)
	}
	return fmt.Sprintf(otherwise, strings.Join(names, ", "))
}

// lower begins a phrase of HCL as ours begin.
func lower(s string) string {
	c, size := utf8.DecodeRuneInString(s)
	if next, _ := utf8.DecodeRuneInString(s[size:]); unicode.IsUpper(next) {
		return s // an acronym
	}
	return string(unicode.ToLower(c)) + s[size:]
}
