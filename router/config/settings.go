package config

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty/convert"
	ctyjson "github.com/zclconf/go-cty/cty/json"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/plugin"
	"github.com/atom-router/atom-router/router"
)

// settings is a backend's config block. It implements router.Settings.
type settings struct {
	// schema is that of the last Decode, by which Explain knows what is
	// sensitive. It may be called from any number of goroutines.
	schema atomic.Pointer[plugin.Schema]

	decoder *decoder
	in      string
	// block is nil where the backend has no config; header is then that of
	// the backend.
	block  *hclsyntax.Block
	body   *hclsyntax.Body
	header hcl.Range
}

// fresh is a decoder for one call, which shows no values that schema calls
// sensitive.
func (s *settings) fresh(schema plugin.Schema) *decoder {
	d := newDecoder(s.decoder.source.hiding(secrets(s.body, schema, hasSecrets(schema))))
	d.in = s.in
	return d
}

// Decode implements router.Settings. Its error is Diagnostics.
func (s *settings) Decode(schema plugin.Schema) ([]byte, error) {
	s.schema.Store(&schema)
	d := s.fresh(schema)
	object := d.object(s.body, s.header, "the config", schema)
	if err := d.diags.sorted().err(); err != nil {
		return nil, err
	}
	return json.Marshal(object)
}

// Equal implements router.Settings: the same attributes and blocks with the
// same values, however they are written.
func (s *settings) Equal(other router.Settings) bool {
	o, ok := other.(*settings)
	return ok && sameBody(s.body, o.body)
}

func sameBody(a, b *hclsyntax.Body) bool {
	return maps.EqualFunc(a.Attributes, b.Attributes, sameAttribute) && slices.EqualFunc(a.Blocks, b.Blocks, sameBlock)
}

func sameBlock(a, b *hclsyntax.Block) bool {
	return a.Type == b.Type && slices.Equal(a.Labels, b.Labels) && sameBody(a.Body, b.Body)
}

// sameAttribute compares values. What has none is like nothing.
func sameAttribute(a, b *hclsyntax.Attribute) bool {
	ctx := &hcl.EvalContext{Functions: functions()}
	x, xdiags := a.Expr.Value(ctx)
	y, ydiags := b.Expr.Value(ctx)
	return !xdiags.HasErrors() && !ydiags.HasErrors() && x.RawEquals(y)
}

// Explain implements router.Settings. Where err holds no *atom.FieldError it
// is returned as it is.
func (s *settings) Explain(err error) error {
	fields := atom.AsFieldErrors(err)
	if len(fields) == 0 {
		return err
	}
	var d *decoder
	if schema := s.schema.Load(); schema != nil {
		d = s.fresh(*schema)
	} else {
		d = newDecoder(s.decoder.source.hiding(secrets(s.body, plugin.Schema{}, true)))
		d.in = s.in
	}
	for _, f := range fields {
		r, found := locate(s.body, s.header, f.Field)
		summary := f.Reason
		if !found || !strings.Contains(f.Field, lastName(f.Field)) {
			summary = f.Field + ": " + f.Reason
		} else if name := lastName(f.Field); !strings.HasPrefix(f.Reason, name) {
			summary = name + ": " + f.Reason
		}
		d.fail(r, summary, "")
	}
	return d.diags.sorted()
}

// object decodes a body by its schema into what JSON makes an object of.
func (d *decoder) object(body *hclsyntax.Body, header hcl.Range, what string, schema plugin.Schema) map[string]any {
	var once []string
	for _, b := range schema.Blocks {
		if !b.Repeated {
			once = append(once, b.Type)
		}
	}
	d.check(body, what, shape{attributes: namesOf(schema.Attributes), blocks: typesOf(schema.Blocks), once: once})
	object := map[string]any{}
	for _, a := range schema.Attributes {
		have := body.Attributes[a.Name]
		if have == nil {
			if a.Required && !slices.Contains(blockTypes(body), a.Name) {
				d.fail(header, fmt.Sprintf("%s is missing", a.Name), capital(fmt.Sprintf("%s needs %s = …", what, a.Name))+docOf(a.Doc))
			}
			continue
		}
		if raw, ok := d.setting(have, a); ok {
			object[a.Name] = raw
		}
	}
	for _, b := range schema.Blocks {
		d.nested(body, header, what, b, object)
	}
	return object
}

func namesOf(attributes []plugin.Attribute) []string {
	var names []string
	for _, a := range attributes {
		names = append(names, a.Name)
	}
	return names
}

func typesOf(blocks []plugin.Block) []string {
	var types []string
	for _, b := range blocks {
		types = append(types, b.Type)
	}
	return types
}

func docOf(doc string) string {
	if doc == "" {
		return ""
	}
	return "\n" + sentence(doc)
}

func blockTypes(body *hclsyntax.Body) []string {
	var types []string
	for _, b := range body.Blocks {
		types = append(types, b.Type)
	}
	return types
}

// nested decodes all blocks of one type into object.
func (d *decoder) nested(body *hclsyntax.Body, header hcl.Range, what string, schema plugin.Block, object map[string]any) {
	var list []any
	for _, b := range body.Blocks {
		if b.Type != schema.Type {
			continue
		}
		inner := d.object(b.Body, b.DefRange(), "a "+b.Type+" block", schema.Schema)
		if len(b.Labels) != len(schema.Labels) {
			want := b.Type
			for _, l := range schema.Labels {
				want += fmt.Sprintf(" %q", strings.ToUpper(l))
			}
			d.fail(b.DefRange(), fmt.Sprintf("the labels of this %s block are wrong", b.Type), "Write it as "+want+" { … }.")
		} else {
			for i, l := range schema.Labels {
				inner[l] = b.Labels[i]
			}
		}
		list = append(list, inner)
	}
	switch {
	case len(list) == 0:
		if schema.Required && body.Attributes[schema.Type] == nil {
			d.fail(header, fmt.Sprintf("a %s block is missing", schema.Type), capital(fmt.Sprintf("%s needs %s { … }", what, schema.Type))+docOf(schema.Doc))
		}
	case schema.Repeated:
		object[schema.Type] = list
	default:
		object[schema.Type] = list[0]
	}
}

// setting is an attribute's value as JSON; false where it has none.
func (d *decoder) setting(have *hclsyntax.Attribute, a plugin.Attribute) (json.RawMessage, bool) {
	want, err := ctyjson.UnmarshalType(a.Type)
	if err != nil {
		d.fail(have.NameRange, fmt.Sprintf("the plugin's schema is wrong about %s", a.Name), fmt.Sprintf("It says that its type is %s.", a.Type))
		return nil, false
	}
	before := len(d.diags)
	if !d.references(have.Expr, nil) {
		d.conceal(before, have, a)
		return nil, false
	}
	v, diags := have.Expr.Value(&hcl.EvalContext{Functions: d.calls})
	for _, diag := range diags {
		d.hcl(diag)
	}
	if diags.HasErrors() {
		d.conceal(before, have, a)
		return nil, false
	}
	v, _ = v.UnmarkDeep()
	if v.IsNull() {
		if a.Required {
			d.fail(have.Expr.Range(), a.Name+" is null", "It has no default, and needs a value.")
		}
		return nil, false
	}
	if name, at := surplus(v.Type(), want, nil); name != "" {
		d.fail(inside(have.Expr, at), fmt.Sprintf("unknown attribute %q", name), fmt.Sprintf("%s takes %s.", a.Name, typeWords(want)))
		return nil, false
	}
	out, err := convert.Convert(v, want)
	if err != nil {
		at, why := misfit(v, want, nil)
		d.fail(inside(have.Expr, at), fmt.Sprintf("%s takes %s", a.Name, typeWords(want)), why+docOf(a.Doc))
		return nil, false
	}
	raw, err := ctyjson.Marshal(out, want)
	if err != nil {
		d.fail(have.Expr.Range(), fmt.Sprintf("%s takes %s", a.Name, typeWords(want)), sentence(capital(err.Error())))
		return nil, false
	}
	return raw, true
}

// conceal takes from what was said about a sensitive attribute what may quote
// its value.
func (d *decoder) conceal(before int, have *hclsyntax.Attribute, a plugin.Attribute) {
	if !a.Sensitive {
		return
	}
	d.diags = d.diags[:before]
	d.fail(have.Expr.Range(), fmt.Sprintf("%s is not understood", a.Name), "It is sensitive and not shown. A text stands in quotes; getenv(\"NAME\") reads it from the environment.")
}

// hasSecrets reports whether anything in a schema is sensitive.
func hasSecrets(s plugin.Schema) bool {
	return slices.ContainsFunc(s.Attributes, func(a plugin.Attribute) bool { return a.Sensitive }) ||
		slices.ContainsFunc(s.Blocks, func(b plugin.Block) bool { return hasSecrets(b.Schema) })
}

// secrets are the ranges of sensitive values. Where there may be some, what
// the schema does not know counts too, unless it is near a name that it does:
// it may be a sensitive one misspelled.
func secrets(body *hclsyntax.Body, schema plugin.Schema, some bool) []hcl.Range {
	var list []hcl.Range
	for _, a := range attributesOf(body) {
		name := a.Name
		if !slices.ContainsFunc(schema.Attributes, func(s plugin.Attribute) bool { return s.Name == name }) {
			name = router.Nearest(name, append(namesOf(schema.Attributes), typesOf(schema.Blocks)...))
		}
		i := slices.IndexFunc(schema.Attributes, func(s plugin.Attribute) bool { return s.Name == name })
		if i < 0 && some || i >= 0 && schema.Attributes[i].Sensitive {
			list = append(list, a.Expr.Range())
		}
	}
	for _, b := range body.Blocks {
		inner := plugin.Schema{}
		if i := slices.IndexFunc(schema.Blocks, func(s plugin.Block) bool { return s.Type == b.Type }); i >= 0 {
			inner = schema.Blocks[i].Schema
		}
		list = append(list, secrets(b.Body, inner, some)...)
	}
	return list
}

var _ router.Settings = (*settings)(nil)
