package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/plugin"
)

// description has one of everything that a plugin can tell of itself.
func description() plugin.Description {
	raw := func(s string) json.RawMessage { return json.RawMessage(s) }
	return plugin.Description{
		Name: "acme", Version: "2.1\x1b[31m", Protocol: "1.0",
		Capabilities: atom.Capabilities{atom.CapDelete, atom.CapLookup}, Env: []string{"ACME_HOME"},
		Schema: plugin.Schema{
			Attributes: []plugin.Attribute{
				{Name: "url", Type: raw(`"string"`), Required: true, Doc: "Where it is."},
				{Name: "token", Type: raw(`"string"`), Default: "none", Doc: "Who we are.", Sensitive: true},
				{Name: "limits", Type: raw(`["list",["object",{"name":"string","n":"number"}]]`)},
			},
			Blocks: []plugin.Block{
				{Type: "tls", Required: true, Doc: "How it is known.", Schema: plugin.Schema{Attributes: []plugin.Attribute{{Name: "ca", Type: raw(`"string"`)}}}},
				{Type: "pool", Labels: []string{"name"}, Repeated: true, Schema: plugin.Schema{Attributes: []plugin.Attribute{{Name: "size", Type: raw(`"number"`), Default: "1"}}}},
			},
		},
	}
}

func TestDescribeForms(t *testing.T) {
	for name, d := range map[string]plugin.Description{"full": description(), "bare": {Name: "bare", Protocol: "1.0"}} {
		for _, form := range []string{outputTable, outputJSON} {
			var out bytes.Buffer
			if err := (&app{stdout: &out, output: form}).printDescription(d); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join("testdata", "describe-"+name+"-"+form+".golden")
			if os.Getenv("UPDATE_GOLDEN") != "" {
				if err := os.WriteFile(path, out.Bytes(), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), out.String()); diff != "" {
				t.Errorf("%s (-want +got):\n%s", path, diff)
			}
		}
	}
}
