package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
)

// misfit finds the part of a value that keeps it from being of a type, and
// says why.
func misfit(v cty.Value, want cty.Type, at cty.Path) (cty.Path, string) {
	have := v.Type()
	if v.IsNull() {
		return at, "This is null."
	}
	elements := want.IsListType() || want.IsSetType() || want.IsMapType()
	switch {
	case elements && v.CanIterateElements() && (have.IsObjectType() || have.IsMapType()) == want.IsMapType():
		for it := v.ElementIterator(); it.Next(); {
			k, e := it.Element()
			if _, err := convert.Convert(e, want.ElementType()); err != nil {
				return misfit(e, want.ElementType(), append(slices.Clip(at), cty.IndexStep{Key: k}))
			}
		}
	case want.IsObjectType() && have.IsObjectType():
		for _, name := range slices.Sorted(maps.Keys(want.AttributeTypes())) {
			if !have.HasAttribute(name) {
				if want.AttributeOptional(name) {
					continue
				}
				return at, fmt.Sprintf("%s is missing here.", name)
			}
			if _, err := convert.Convert(v.GetAttr(name), want.AttributeType(name)); err != nil {
				return misfit(v.GetAttr(name), want.AttributeType(name), at.GetAttr(name))
			}
		}
	}
	if len(at) > 0 {
		return at, fmt.Sprintf("This is %s, not %s.", typeName(have), typeWords(want))
	}
	return at, "This is " + typeName(have) + "."
}

// surplus finds an attribute of an object that its type has not; conversion
// would drop it silently.
func surplus(have, want cty.Type, at cty.Path) (string, cty.Path) {
	switch {
	case have.IsObjectType() && want.IsObjectType():
		for name, t := range have.AttributeTypes() {
			if !want.HasAttribute(name) {
				return name, at
			}
			if s, p := surplus(t, want.AttributeType(name), at.GetAttr(name)); s != "" {
				return s, p
			}
		}
	case have.IsObjectType() && want.IsMapType():
		for name, t := range have.AttributeTypes() {
			if s, p := surplus(t, want.ElementType(), at.GetAttr(name)); s != "" {
				return s, p
			}
		}
	case have.IsTupleType() && (want.IsListType() || want.IsSetType()):
		for i, t := range have.TupleElementTypes() {
			if s, p := surplus(t, want.ElementType(), at.IndexInt(i)); s != "" {
				return s, p
			}
		}
	}
	return "", nil
}

// typeWords is a type in words, with what its elements are.
func typeWords(t cty.Type) string {
	switch {
	case t.IsListType(), t.IsSetType():
		return "a list of " + plural(t.ElementType())
	case t.IsMapType():
		return "a map of " + plural(t.ElementType())
	}
	return typeName(t)
}

func plural(t cty.Type) string {
	switch t {
	case cty.String:
		return "texts"
	case cty.Number:
		return "numbers"
	case cty.Bool:
		return "true or false"
	}
	if t.IsMapType() || t.IsObjectType() {
		return "maps"
	}
	return "lists"
}

func capital(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}
