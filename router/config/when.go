package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
	"github.com/zclconf/go-cty/cty/function"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/router"
)

// mountType and resourcesType are what mounts and resources are in a when.
func mountType() cty.Type {
	return cty.Object(map[string]cty.Type{
		"type": cty.String, "source": cty.String, "target": cty.String, "read_only": cty.Bool,
	})
}

func resourcesType() cty.Type {
	return cty.Object(map[string]cty.Type{"cpu": cty.Number, "memory": cty.Number, "gpus": cty.Number})
}

// clientType is what client is in a when.
func clientType() cty.Type {
	return cty.Object(map[string]cty.Type{"name": cty.String, "owner": cty.String})
}

// variables are those of a when, with their types.
func variables() map[string]cty.Type {
	return map[string]cty.Type{
		"name": cty.String, "image": cty.String, "user": cty.String, "workdir": cty.String,
		"command": cty.List(cty.String), "entrypoint": cty.List(cty.String),
		"env": cty.Map(cty.String), "labels": cty.Map(cty.String),
		"mounts": cty.List(mountType()), "resources": resourcesType(), "client": clientType(),
	}
}

// condition is a when. It implements router.Condition.
type condition struct {
	expr  hclsyntax.Expression
	text  string
	calls map[string]function.Function
	// needs are the variables that the expression names; only these are made.
	needs []string
	// keys are those of env and labels that it names, which read as null
	// where they are missing.
	keys map[string][]string
}

// newCondition makes a condition of an expression whose variables and
// functions are known to exist.
func newCondition(expr hclsyntax.Expression, text string) *condition {
	nullMissing(expr)
	c := &condition{expr: expr, text: text, calls: functions(), keys: map[string][]string{}}
	for _, t := range expr.Variables() {
		root := t.RootName()
		if !slices.Contains(c.needs, root) {
			c.needs = append(c.needs, root)
		}
		if key, ok := firstKey(t); ok && (root == "env" || root == "labels") && !slices.Contains(c.keys[root], key) {
			c.keys[root] = append(c.keys[root], key)
		}
	}
	return c
}

// firstKey is the key in env.KEY or env["KEY"].
func firstKey(t hcl.Traversal) (string, bool) {
	if len(t) < 2 {
		return "", false
	}
	switch step := t[1].(type) {
	case hcl.TraverseAttr:
		return step.Name, true
	case hcl.TraverseIndex:
		if step.Key.Type() == cty.String && step.Key.IsKnown() && !step.Key.IsNull() {
			return step.Key.AsString(), true
		}
	}
	return "", false
}

// String is the source text.
func (c *condition) String() string { return c.text }

// Eval implements router.Condition.
func (c *condition) Eval(r *atom.EngineCreateRequest) (bool, error) {
	vars := make(map[string]cty.Value, len(c.needs))
	for _, name := range c.needs {
		vars[name] = c.variable(name, r)
	}
	v, diags := c.expr.Value(&hcl.EvalContext{Variables: vars, Functions: c.calls})
	if diags.HasErrors() {
		d := diags[0]
		rng := c.expr.Range()
		if d.Subject != nil {
			rng = *d.Subject
		}
		return false, fmt.Errorf("%s:%d:%d: %s: %s", rng.Filename, rng.Start.Line, rng.Start.Column, d.Summary, withoutEnv(strings.TrimSuffix(d.Detail, "."), r.Spec.Env))
	}
	rng := c.expr.Range()
	switch {
	case v.IsNull():
		return false, fmt.Errorf("%s:%d:%d: the result is null, not true or false", rng.Filename, rng.Start.Line, rng.Start.Column)
	case !v.IsKnown() || v.Type() != cty.Bool:
		return false, fmt.Errorf("%s:%d:%d: the result is %s, not true or false", rng.Filename, rng.Start.Line, rng.Start.Column, typeName(v.Type()))
	}
	return v.True(), nil
}

// withoutEnv takes the values of env out of what an expression failed with: a
// function quotes what it was given.
func withoutEnv(text string, env map[string]string) string {
	for name, value := range env {
		if value != "" {
			text = strings.ReplaceAll(text, value, "(value of "+name+")")
		}
	}
	return text
}

func (c *condition) variable(name string, r *atom.EngineCreateRequest) cty.Value {
	switch name {
	case "name":
		return text(r.Name)
	case "image":
		return text(r.Image)
	case "user":
		return text(r.Spec.User)
	case "workdir":
		return text(r.Spec.WorkDir)
	case "command":
		return list(r.Command)
	case "entrypoint":
		return list(r.Spec.Entrypoint)
	case "env":
		return keyed(r.Spec.Env, c.keys["env"])
	case "labels":
		return keyed(r.Spec.Labels, c.keys["labels"])
	case "mounts":
		return mounts(r)
	case "client":
		c := router.ClientOf(atom.ContextOr(r.Context))
		if c.Owner == "" {
			c.Owner = r.Owner
		}
		return cty.ObjectVal(map[string]cty.Value{"name": text(c.Name), "owner": text(c.Owner)})
	case "resources":
		return cty.ObjectVal(map[string]cty.Value{
			"cpu":    cty.NumberFloatVal(r.Spec.Resources.CPU),
			"memory": cty.NumberIntVal(r.Spec.Resources.Memory),
			"gpus":   cty.NumberIntVal(int64(r.Spec.Resources.GPUs)),
		})
	}
	return cty.DynamicVal
}

// text is s as it is compared: cty keeps strings in Unicode's NFC.
func text(s string) cty.Value { return cty.StringVal(s) }

func list(ss []string) cty.Value {
	if len(ss) == 0 {
		return cty.ListValEmpty(cty.String)
	}
	vs := make([]cty.Value, len(ss))
	for i, s := range ss {
		vs[i] = text(s)
	}
	return cty.ListVal(vs)
}

// keyed is a map in which the keys that are asked for are there, null where
// the request has none.
func keyed(m map[string]string, keys []string) cty.Value {
	vs := make(map[string]cty.Value, len(m)+len(keys))
	for _, k := range keys {
		vs[k] = cty.NullVal(cty.String)
	}
	for k, v := range m {
		vs[k] = text(v)
	}
	if len(vs) == 0 {
		return cty.MapValEmpty(cty.String)
	}
	return cty.MapVal(vs)
}

func mounts(r *atom.EngineCreateRequest) cty.Value {
	if len(r.Spec.Mounts) == 0 {
		return cty.ListValEmpty(mountType())
	}
	vs := make([]cty.Value, len(r.Spec.Mounts))
	for i, m := range r.Spec.Mounts {
		vs[i] = cty.ObjectVal(map[string]cty.Value{
			"type": text(string(m.Type)), "source": text(m.Source), "target": text(m.Target), "read_only": cty.BoolVal(m.ReadOnly),
		})
	}
	return cty.ListVal(vs)
}

// withKey is the function that nullMissing puts into expressions. No config
// can name it.
const withKey = "with key"

// nullMissing makes env[KEY] null where KEY, an expression, is missing: it
// puts a call around env that adds the key. Keys that are written out are seen
// to by condition.keys.
func nullMissing(expr hclsyntax.Expression) {
	_ = hclsyntax.VisitAll(expr, func(n hclsyntax.Node) hcl.Diagnostics {
		index, ok := n.(*hclsyntax.IndexExpr)
		if !ok {
			return nil
		}
		of, ok := index.Collection.(*hclsyntax.ScopeTraversalExpr)
		if !ok || len(of.Traversal) != 1 || of.Traversal.RootName() != "env" && of.Traversal.RootName() != "labels" {
			return nil
		}
		index.Collection = &hclsyntax.FunctionCallExpr{
			Name: withKey, Args: []hclsyntax.Expression{of, index.Key},
			NameRange: of.SrcRange, OpenParenRange: of.SrcRange, CloseParenRange: of.SrcRange,
		}
		return nil
	})
}

func withKeyFunction() function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "map", Type: cty.Map(cty.String)}, {Name: "key", Type: cty.String}},
		Type:   function.StaticReturnType(cty.Map(cty.String)),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			vs := args[0].AsValueMap()
			key := args[1].AsString()
			if _, ok := vs[key]; ok {
				return args[0], nil
			}
			with := maps.Clone(vs)
			if with == nil {
				with = map[string]cty.Value{}
			}
			with[key] = cty.NullVal(cty.String)
			return cty.MapVal(with), nil
		},
	})
}

// convertDefault is lookup's third argument as what the map holds.
func convertDefault(v cty.Value, want cty.Type) (cty.Value, error) {
	out, err := convert.Convert(v, want)
	if err != nil {
		return cty.NilVal, function.NewArgErrorf(2, "the default must be %s", typeName(want))
	}
	return out, nil
}
