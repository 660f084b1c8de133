package plugin

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/atom-router/atom-router/atom"
)

type everyConfig struct {
	Text     string            `hcl:"text" doc:"what it says"`
	Switch   bool              `hcl:"switch,optional" default:"false"`
	Count    int64             `hcl:"count,attr"`
	Share    float64           `hcl:"share,optional"`
	List     []string          `hcl:"list,optional"`
	Map      map[string]string `hcl:"map,optional" sensitive:"true"`
	Nested   map[string][]uint `hcl:"nested,optional"`
	Maybe    *bool             `hcl:"maybe"`
	One      everyBlock        `hcl:"one,block"`
	AtMost   *everyBlock       `hcl:"at_most,block" doc:"once at most"`
	Any      []everyBlock      `hcl:"any,block"`
	Pointers []*everyBlock     `hcl:"pointers,block"`
	Own      int               // no setting
}

type everyBlock struct {
	Kind  string     `hcl:"kind,label"`
	Name  string     `hcl:"name,label"`
	Value string     `hcl:"value,optional"`
	Inner *innermost `hcl:"inner,block"`
}

type innermost struct {
	X int `hcl:"x,optional"`
}

func TestSchemaOf(t *testing.T) {
	typ := func(s string) json.RawMessage { return json.RawMessage(s) }
	inner := Schema{
		Attributes: []Attribute{{Name: "value", Type: typ(`"string"`)}},
		Blocks:     []Block{{Type: "inner", Schema: Schema{Attributes: []Attribute{{Name: "x", Type: typ(`"number"`)}}}}},
	}
	labels := []string{"kind", "name"}
	want := Schema{
		Attributes: []Attribute{
			{Name: "text", Type: typ(`"string"`), Required: true, Doc: "what it says"},
			{Name: "switch", Type: typ(`"bool"`), Default: "false"},
			{Name: "count", Type: typ(`"number"`), Required: true},
			{Name: "share", Type: typ(`"number"`)},
			{Name: "list", Type: typ(`["list","string"]`)},
			{Name: "map", Type: typ(`["map","string"]`), Sensitive: true},
			{Name: "nested", Type: typ(`["map",["list","number"]]`)},
			{Name: "maybe", Type: typ(`"bool"`)},
		},
		Blocks: []Block{
			{Type: "one", Labels: labels, Required: true, Schema: inner},
			{Type: "at_most", Labels: labels, Doc: "once at most", Schema: inner},
			{Type: "any", Labels: labels, Repeated: true, Schema: inner},
			{Type: "pointers", Labels: labels, Repeated: true, Schema: inner},
		},
	}
	for _, config := range []any{everyConfig{}, &everyConfig{}} {
		got, err := SchemaOf(config)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	}
	if got, err := SchemaOf(struct{}{}); err != nil || len(got.Attributes)+len(got.Blocks) > 0 {
		t.Errorf("no config became %+v, %v", got, err)
	}
}

type itself struct {
	Again []itself `hcl:"again,block"`
}

func TestSchemaOfWhatCannotBe(t *testing.T) {
	for want, config := range map[string]any{
		"a config is a struct, not int":   7,
		"a config is a struct, not <nil>": nil,
		"a config cannot hold a chan int": struct {
			C chan int `hcl:"c"`
		}{},
		"a config cannot hold a func()": struct {
			F []func() `hcl:"f"`
		}{},
		"a config cannot hold a interface {}": struct {
			X any `hcl:"x"`
		}{},
		"a map's keys are strings, not int": struct {
			M map[int]string `hcl:"m"`
		}{},
		"take a string and parse it": struct {
			D time.Duration `hcl:"d"`
		}{},
		"a block is a struct, not string": struct {
			B string `hcl:"b,block"`
		}{},
		"only blocks have labels": struct {
			L string `hcl:"l,label"`
		}{},
		`"remain", which is none of attr`: struct {
			R string `hcl:"r,remain"`
		}{},
		"a field with an hcl tag is exported": struct {
			c string `hcl:"c"`
		}{},
		`"" is no name of a setting`: struct {
			N string `hcl:",optional"`
		}{},
		`A is called "x" too`: struct {
			A, B string `hcl:"x"`
		}{},
		"a plugin.itself cannot hold itself": itself{},
		"a label is a string": struct {
			B []struct {
				L int `hcl:"l,label"`
			} `hcl:"b,block"`
		}{},
	} {
		if _, err := SchemaOf(config); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%T: %v, want %q", config, err, want)
		}
	}
}

func TestDecodeConfig(t *testing.T) {
	yes := true
	block := everyBlock{Kind: "k", Name: "n", Value: "v", Inner: &innermost{X: 3}}
	want := everyConfig{
		Text: "t", Switch: true, Count: 1 << 40, Share: 0.5, List: []string{"a", "b"}, Map: map[string]string{"k": "v"},
		Nested: map[string][]uint{"n": {1, 2}}, Maybe: &yes, One: block, AtMost: &block, Any: []everyBlock{block, {}}, Pointers: []*everyBlock{&block},
	}
	const text = `{"kind": "k", "name": "n", "value": "v", "inner": {"x": 3}}`
	var got everyConfig
	err := decodeConfig([]byte(`{"text": "t", "switch": true, "count": 1099511627776, "share": 0.5, "list": ["a", "b"], "map": {"k": "v"},
		"nested": {"n": [1, 2]}, "maybe": true, "one": `+text+`, "at_most": `+text+`, "any": [`+text+`, {}], "pointers": [`+text+`]}`), &got)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	for _, absent := range []string{``, `{}`, `{"text": null, "at_most": null, "any": null}`} {
		var got everyConfig
		if err := decodeConfig([]byte(absent), &got); err != nil || !cmp.Equal(got, everyConfig{}) {
			t.Errorf("%s: %+v, %v", absent, got, err)
		}
	}
}

func TestDecodeConfigMistakes(t *testing.T) {
	for text, want := range map[string]atom.FieldError{
		`{"text": 7}`:                               {Field: "text", Reason: "must be a string"},
		`{"switch": "on"}`:                          {Field: "switch", Reason: "must be true or false"},
		`{"count": 1.5}`:                            {Field: "count", Reason: "must be a whole number of at most 64 bits"},
		`{"share": "half"}`:                         {Field: "share", Reason: "must be a number"},
		`{"nested": {"a": [-1]}}`:                   {Field: "nested", Reason: "must be a whole number of at most 64 bits, and not negative"},
		`{"one": {"valeu": "x"}}`:                   {Field: "one.valeu", Reason: "there is no such setting"},
		`{"any": [{}, {"inner": {"x": "secret"}}]}`: {Field: "any[1].inner.x", Reason: "must be a whole number of at most 64 bits"},
		`{"any": {}}`:                               {Field: "any", Reason: "must be a list"},
		`{"one": []}`:                               {Field: "one", Reason: "must be an object"},
		`{"other": 1}`:                              {Field: "other", Reason: "there is no such setting"},
		`[]`:                                        {Field: "config", Reason: "must be an object"},
	} {
		var config everyConfig
		fields := atom.AsFieldErrors(decodeConfig([]byte(text), &config))
		if len(fields) != 1 || *fields[0] != want {
			t.Errorf("%s: %+v, want %+v", text, fields, want)
		}
	}
}
