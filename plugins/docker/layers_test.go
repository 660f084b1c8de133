package docker

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/atom-router/atom-router/atom"
)

// A daemon's report as it was recorded, and what of it is told. That nothing is
// told too often is taken off: it would make this a test of the clock.
func TestLayers(t *testing.T) {
	const report = `
{"status":"Pulling from jobs","id":"1"}
{"status":"Pulling fs layer","progressDetail":{},"id":"aaa"}
{"status":"Pulling fs layer","progressDetail":{},"id":"bbb"}
{"status":"Already exists","progressDetail":{},"id":"ccc"}
{"status":"Downloading","progressDetail":{"current":100,"total":1000},"progress":"[=>  ]","id":"aaa"}
{"status":"Downloading","progressDetail":{"current":50},"id":"bbb"}
{"status":"Downloading","progressDetail":{"current":900,"total":1000},"id":"aaa"}
{"status":"Verifying Checksum","progressDetail":{},"id":"aaa"}
{"status":"Download complete","progressDetail":{},"id":"aaa"}
{"status":"Extracting","progressDetail":{"current":1,"total":1000},"id":"aaa"}
{"status":"Download complete","progressDetail":{},"id":"bbb"}
{"status":"Pull complete","progressDetail":{},"id":"aaa"}
{"status":"Pull complete","progressDetail":{},"id":"bbb"}
{"status":"Digest: sha256:0"}
`
	pulling := func(done, total int64) atom.Progress {
		return atom.Progress{Phase: atom.PhasePulling, Text: "pulling jobs:1", Done: done, Total: total}
	}
	unpacking := atom.Progress{Phase: atom.PhaseUnpacking, Text: "unpacking jobs:1"}
	want := []atom.Progress{
		pulling(100, 1000), pulling(150, 1050), pulling(950, 1050), pulling(1050, 1050), pulling(1050, 1050), pulling(1050, 1050),
		unpacking, unpacking, unpacking,
	}
	// The layer of unknown size counts for what came of it.
	ls := newLayers("jobs:1")
	var got []atom.Progress
	decoder := json.NewDecoder(strings.NewReader(report))
	for decoder.More() {
		var m pullMessage
		if err := decoder.Decode(&m); err != nil {
			t.Fatal(err)
		}
		ls.told = ls.told.Add(-tellEvery)
		if ls.note(m) {
			got = append(got, ls.progress())
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
