// Package wiretest fills values and messages for the tests of what converts
// them: a field that somebody adds and forgets there turns those red.
package wiretest

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/atom/container"
)

// Again is what the other side reads of a message.
func Again[M proto.Message](t testing.TB, m M) M {
	t.Helper()
	text, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	read := m.ProtoReflect().New().Interface()
	if err := proto.Unmarshal(text, read); err != nil {
		t.Fatal(err)
	}
	return read.(M)
}

// Filled is a T with every field set.
func Filled[T any](t testing.TB) T {
	t.Helper()
	var v T
	fill(t, reflect.ValueOf(&v).Elem(), 0)
	return v
}

func fill(t testing.TB, v reflect.Value, depth int) {
	switch v.Interface().(type) {
	case time.Time:
		v.Set(reflect.ValueOf(time.Date(2026, 11, 23, 1, 2, 3, 456789012, time.UTC)))
		return
	case time.Duration:
		v.SetInt(int64(90 * time.Second))
		return
	case atom.State:
		v.SetString(string(atom.Stopping))
		return
	case atom.Result:
		v.SetString(string(atom.Killed))
		return
	case atom.Stream:
		v.SetString(string(atom.Stderr))
		return
	case container.MountType:
		v.SetString(string(container.MountTypeTmpfs))
		return
	case json.RawMessage:
		v.SetBytes([]byte(`"string"`))
		return
	}
	switch v.Kind() {
	case reflect.Interface, reflect.Func: // the Context and Progress, which travel otherwise
	case reflect.String:
		v.SetString("text")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int32, reflect.Int64:
		v.SetInt(7)
	case reflect.Float64:
		v.SetFloat(1.5)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(t, v.Elem(), depth)
	case reflect.Struct:
		for i := range v.NumField() {
			fill(t, v.Field(i), depth+1)
		}
	case reflect.Slice:
		if depth > 4 { // a schema holds schemas
			return
		}
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range v.Len() {
			if v.Type().Elem().Kind() == reflect.Uint8 {
				v.Index(i).SetUint(200)
				continue
			}
			fill(t, v.Index(i), depth+1)
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		key, elem := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fill(t, key, depth+1)
		fill(t, elem, depth+1)
		v.SetMapIndex(key, elem)
	default:
		t.Fatalf("the test cannot fill a %v", v.Type())
	}
}

// FilledMessage sets every field of m, in place.
func FilledMessage[M proto.Message](m M) M {
	fillMessage(m.ProtoReflect(), 0)
	return m
}

func fillMessage(m protoreflect.Message, depth int) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		switch {
		case f.IsMap():
			m.Mutable(f).Map().Set(protoreflect.ValueOfString("key").MapKey(), protoreflect.ValueOfString("value"))
		case f.IsList() && f.Kind() == protoreflect.MessageKind:
			if depth < 4 {
				fillMessage(m.Mutable(f).List().AppendMutable().Message(), depth+1)
			}
		case f.IsList():
			m.Mutable(f).List().Append(scalar(f))
		case f.Kind() == protoreflect.MessageKind:
			fillMessage(m.Mutable(f).Message(), depth+1)
		default:
			m.Set(f, scalar(f))
		}
	}
}

func scalar(f protoreflect.FieldDescriptor) protoreflect.Value {
	switch f.Kind() {
	case protoreflect.StringKind:
		return protoreflect.ValueOfString("text")
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes([]byte{0, 200})
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(true)
	case protoreflect.EnumKind:
		return protoreflect.ValueOfEnum(2)
	case protoreflect.Int32Kind:
		return protoreflect.ValueOfInt32(7)
	case protoreflect.Int64Kind:
		return protoreflect.ValueOfInt64(7)
	case protoreflect.DoubleKind:
		return protoreflect.ValueOfFloat64(1.5)
	}
	panic("the test cannot set a " + f.Kind().String())
}
