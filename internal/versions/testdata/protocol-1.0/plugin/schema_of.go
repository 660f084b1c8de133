package plugin

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"
)

// SchemaOf derives a Schema from a struct, or a pointer to one, whose fields
// bear tags as those of package gohcl:
//
//	type Config struct {
//		Host string `hcl:"host,optional" doc:"where the daemon listens" default:"unix:///run/x.sock"`
//		TLS  *TLS   `hcl:"tls,block" doc:"how the daemon is known"`
//		Auth []Auth `hcl:"auth,block"`
//	}
//	type Auth struct {
//		Server   string `hcl:"server,label"`
//		Password string `hcl:"password" sensitive:"true"`
//	}
//
// Attributes are strings, bools, numbers, lists and maps of them, and pointers
// to them, whose nil is absence; without "optional" they are required. Blocks
// are structs, *structs (at most one) and []structs (any number). Fields
// without an hcl tag are passed over. What cannot be a config is an error.
func SchemaOf(config any) (Schema, error) {
	t := reflect.TypeOf(config)
	if t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t == nil || t.Kind() != reflect.Struct {
		return Schema{}, fmt.Errorf("a config is a struct, not %v", t)
	}
	schema, labels, err := schemaOf(t, nil)
	if err == nil && len(labels) > 0 {
		err = fmt.Errorf("field tagged %q: only blocks have labels", labels[0])
	}
	return schema, err
}

// schemaOf has in outer the structs that t stands in.
func schemaOf(t reflect.Type, outer []reflect.Type) (s Schema, labels []string, err error) {
	if slices.Contains(outer, t) {
		return s, nil, fmt.Errorf("a %v cannot hold itself", t)
	}
	outer = append(slices.Clip(outer), t)
	names := make(map[string]string)
	for field := range configFields(t) {
		other, taken := names[field.name]
		switch {
		case !field.IsExported():
			return s, nil, fmt.Errorf("%s.%s: a field with an hcl tag is exported", t.Name(), field.Name)
		case !namePattern.MatchString(field.name):
			return s, nil, fmt.Errorf("%s.%s: %q is no name of a setting", t.Name(), field.Name, field.name)
		case taken:
			return s, nil, fmt.Errorf("%s.%s: %s is called %q too", t.Name(), field.Name, other, field.name)
		}
		names[field.name] = field.Name
		switch field.kind {
		case "label":
			if field.Type.Kind() != reflect.String {
				return s, nil, fmt.Errorf("%s.%s: a label is a string", t.Name(), field.Name)
			}
			labels = append(labels, field.name)
		case "block":
			b, err := blockOf(field, outer)
			if err != nil {
				return s, nil, fmt.Errorf("%s.%s: %w", t.Name(), field.Name, err)
			}
			s.Blocks = append(s.Blocks, b)
		case "", "attr", "optional":
			typ, err := ctyOf(field.Type)
			if err != nil {
				return s, nil, fmt.Errorf("%s.%s: %w", t.Name(), field.Name, err)
			}
			s.Attributes = append(s.Attributes, Attribute{
				Name: field.name, Type: typ, Required: field.kind != "optional" && field.Type.Kind() != reflect.Pointer,
				Default: field.Tag.Get("default"), Doc: field.Tag.Get("doc"), Sensitive: field.Tag.Get("sensitive") == "true",
			})
		default:
			return s, nil, fmt.Errorf("%s.%s: the hcl tag says %q, which is none of attr, optional, block, label", t.Name(), field.Name, field.kind)
		}
	}
	return s, labels, nil
}

func blockOf(field configField, outer []reflect.Type) (Block, error) {
	t := field.Type
	b := Block{Type: field.name, Doc: field.Tag.Get("doc")}
	switch t.Kind() {
	case reflect.Slice:
		b.Repeated, t = true, t.Elem()
	case reflect.Pointer:
	default:
		b.Required = true
	}
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return b, fmt.Errorf("a block is a struct, not %v", field.Type)
	}
	var err error
	b.Schema, b.Labels, err = schemaOf(t, outer)
	return b, err
}

// namePattern is what HCL takes for an identifier, in ASCII.
var namePattern = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_-]*$`)

// ctyOf is the cty type of an attribute, in cty's JSON form.
func ctyOf(t reflect.Type) (json.RawMessage, error) {
	if t == reflect.TypeFor[time.Duration]() {
		// As a number it would be in nanoseconds.
		return nil, errors.New("a config cannot hold a time.Duration; take a string and parse it")
	}
	switch t.Kind() {
	case reflect.String:
		return json.RawMessage(`"string"`), nil
	case reflect.Bool:
		return json.RawMessage(`"bool"`), nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Float32, reflect.Float64:
		return json.RawMessage(`"number"`), nil
	case reflect.Pointer:
		return ctyOf(t.Elem())
	case reflect.Slice:
		elem, err := ctyOf(t.Elem())
		return json.RawMessage(`["list",` + string(elem) + `]`), err
	case reflect.Map:
		if t.Key().Kind() != reflect.String {
			return nil, fmt.Errorf("a map's keys are strings, not %v", t.Key())
		}
		elem, err := ctyOf(t.Elem())
		return json.RawMessage(`["map",` + string(elem) + `]`), err
	}
	return nil, fmt.Errorf("a config cannot hold a %v", t)
}

// configField is a field with an hcl tag.
type configField struct {
	reflect.StructField
	name, kind string
}

func configFields(t reflect.Type) func(func(configField) bool) {
	return func(yield func(configField) bool) {
		for i := range t.NumField() {
			f := t.Field(i)
			tag, ok := f.Tag.Lookup("hcl")
			if !ok {
				continue
			}
			name, kind, _ := strings.Cut(tag, ",")
			if !yield(configField{f, name, kind}) {
				return
			}
		}
	}
}
