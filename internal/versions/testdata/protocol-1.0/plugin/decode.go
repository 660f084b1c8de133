package plugin

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"

	"github.com/atom-router/atom-router/atom"
)

// decodeConfig sets config, a pointer to a struct with hcl tags, from a JSON
// object of its schema's shape. The host has checked names and types already;
// what is wrong all the same is an *atom.FieldError with its path.
func decodeConfig(text []byte, config any) error {
	if len(bytes.TrimSpace(text)) == 0 {
		text = []byte("{}")
	}
	return decodeBlock("", text, reflect.ValueOf(config).Elem())
}

func decodeBlock(path string, text []byte, v reflect.Value) error {
	var object map[string]json.RawMessage
	if err := json.Unmarshal(text, &object); err != nil {
		return wrong(path, err)
	}
	for field := range configFields(v.Type()) {
		raw, ok := object[field.name]
		delete(object, field.name)
		if !ok || string(raw) == "null" {
			continue
		}
		at := within(path, field.name)
		into := v.FieldByIndex(field.Index)
		var err error
		if field.kind == "block" {
			err = decodeBlocks(at, raw, into)
		} else if uerr := json.Unmarshal(raw, into.Addr().Interface()); uerr != nil {
			err = wrong(at, uerr)
		}
		if err != nil {
			return err
		}
	}
	for name := range object {
		return &atom.FieldError{Field: within(path, name), Reason: "there is no such setting"}
	}
	return nil
}

// within is the path of what stands in a block.
func within(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

func decodeBlocks(path string, raw []byte, into reflect.Value) error {
	switch into.Kind() {
	case reflect.Pointer:
		into.Set(reflect.New(into.Type().Elem()))
		return decodeBlock(path, raw, into.Elem())
	case reflect.Slice:
		var list []json.RawMessage
		if err := json.Unmarshal(raw, &list); err != nil {
			return wrong(path, err)
		}
		blocks := reflect.MakeSlice(into.Type(), len(list), len(list))
		for i, text := range list {
			block := blocks.Index(i)
			if block.Kind() == reflect.Pointer {
				block.Set(reflect.New(block.Type().Elem()))
				block = block.Elem()
			}
			if err := decodeBlock(fmt.Sprintf("%s[%d]", path, i), text, block); err != nil {
				return err
			}
		}
		into.Set(blocks)
		return nil
	}
	return decodeBlock(path, raw, into)
}

// wrong does not repeat the value, which may be a secret.
func wrong(path string, err error) error {
	reason := err.Error()
	if t, ok := err.(*json.UnmarshalTypeError); ok {
		reason = "must be " + inWords(t.Type)
	}
	if path == "" {
		path = "config"
	}
	return &atom.FieldError{Field: path, Reason: reason}
}

// inWords is what a value of type t is to an operator.
func inWords(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return fmt.Sprintf("a whole number of at most %d bits", t.Bits())
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return fmt.Sprintf("a whole number of at most %d bits, and not negative", t.Bits())
	case reflect.Slice:
		return "a list"
	case reflect.Map:
		return "an object"
	}
	return "a " + t.String()
}
