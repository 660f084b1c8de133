package config

import (
	"os"
	"strings"

	"github.com/hashicorp/hcl/v2/ext/tryfunc"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"
)

// functions are what expressions may call, in config and in when alike.
func functions() map[string]function.Function {
	return map[string]function.Function{
		"can":        tryfunc.CanFunc,
		"try":        tryfunc.TryFunc,
		"lookup":     lookup(),
		"contains":   stdlib.ContainsFunc,
		"regex":      stdlib.RegexFunc,
		"startswith": compareText(strings.HasPrefix),
		"endswith":   compareText(strings.HasSuffix),
		"getenv":     getenv(),
		withKey:      withKeyFunction(),
	}
}

func compareText(compare func(s, part string) bool) function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "text", Type: cty.String}, {Name: "part", Type: cty.String}},
		Type:   function.StaticReturnType(cty.Bool),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			return cty.BoolVal(compare(args[0].AsString(), args[1].AsString())), nil
		},
	})
}

// getenv reads the environment of the process that loads the config; what is
// not set is "".
func getenv() function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "name", Type: cty.String}},
		Type:   function.StaticReturnType(cty.String),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			return cty.StringVal(strings.ToValidUTF8(os.Getenv(args[0].AsString()), "\ufffd")), nil
		},
	})
}

// lookup is the value of a key in a map or object, or the third argument
// where the key is missing or null.
func lookup() function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{
			{Name: "map", Type: cty.DynamicPseudoType, AllowDynamicType: true},
			{Name: "key", Type: cty.String},
			{Name: "default", Type: cty.DynamicPseudoType, AllowNull: true, AllowDynamicType: true},
		},
		Type: func(args []cty.Value) (cty.Type, error) {
			switch t := args[0].Type(); {
			case t.IsMapType():
				return t.ElementType(), nil
			case t.IsObjectType() || t == cty.DynamicPseudoType:
				return cty.DynamicPseudoType, nil
			}
			return cty.NilType, function.NewArgErrorf(0, "lookup needs a map")
		},
		Impl: func(args []cty.Value, want cty.Type) (cty.Value, error) {
			key := args[1].AsString()
			for k, v := range args[0].AsValueMap() {
				if k == key && !v.IsNull() {
					return v, nil
				}
			}
			return convertDefault(args[2], want)
		},
	})
}
