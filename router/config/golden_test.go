package config

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files")

// golden compares what was got with a file, or writes it.
func golden(t testing.TB, path string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got; -update writes it):\n%s", path, diff)
	}
}

func render(t testing.TB, ds Diagnostics, color bool) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := ds.WriteText(&b, color); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestMistakes shows each file of testdata/bad to be wrong, in the words of
// its golden file.
func TestMistakes(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.hcl")
	if err != nil || len(files) < 30 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".hcl")
		t.Run(name, func(t *testing.T) {
			src, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			_, ds := Parse(name+".hcl", src)
			if len(ds) == 0 {
				t.Fatal("nothing is wrong with it")
			}
			for _, d := range ds {
				if d.Range.Filename != name+".hcl" || d.Range.Start.Line < 1 || d.Range.Start.Column < 1 {
					t.Errorf("%q has no place: %v", d.Summary, d.Range)
				}
			}
			golden(t, strings.TrimSuffix(file, ".hcl")+".golden", render(t, ds, false))
		})
	}
}

func TestReportJSON(t *testing.T) {
	src, err := os.ReadFile("testdata/bad/ten-mistakes.hcl")
	if err != nil {
		t.Fatal(err)
	}
	_, ds := Parse("ten-mistakes.hcl", src)
	if n := len(ds.Errors()); n < 10 {
		t.Errorf("found %d of at least ten mistakes", n)
	}
	got, err := json.MarshalIndent(NewReport(ds), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "testdata/ten-mistakes.json", append(got, '\n'))

	got, err = json.Marshal(NewReport(nil))
	if want := `{"valid":true,"diagnostics":[]}`; err != nil || string(got) != want {
		t.Errorf("without mistakes: %s, %v; want %s", got, err, want)
	}
}

func TestColor(t *testing.T) {
	_, ds := Parse("config.hcl", []byte("ownr = 1\nbackend \"a\" { plugin = \"a\" }\n"))
	golden(t, "testdata/color.golden", render(t, ds, true))
}
