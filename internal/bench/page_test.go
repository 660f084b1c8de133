package main

import (
	"bytes"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// The page says what the results say: whoever changes one by hand is told.
func TestPageIsMadeFromResults(t *testing.T) {
	t.Chdir("../..")
	want, err := renderPage(read)
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s is not what `go run ./internal/bench -page` makes (-made +there):\n%s", page, diff)
	}
}

func TestResultsAreReadAsWritten(t *testing.T) {
	want := results{
		machine: map[string]string{"date": "2026-11-26", "goos": "linux", "goarch": "amd64", "cpu": "Some CPU", "cores": "2", "go": "go1.26", "commit": "abc"},
		figures: []figure{
			{slug: "ratio", name: "A call / another's", values: []float64{1.25, 0.5}, unit: "x", aim: 1.15, atMost: true, detail: "1ms against 2ms",
				sides: race{baseline: []time.Duration{4, 6}, subject: []time.Duration{5, 3}}},
			{slug: "count", name: "Watches", values: []float64{1}, aim: 1},
			{slug: "op=get/atoms=10", values: []float64{3}, unit: "µs"},
			{slug: "time", name: "A time", values: []float64{3, 4, 5}, unit: "ns"},
		},
	}
	var file bytes.Buffer
	if err := want.encode(&file, "kube-get"); err != nil {
		t.Fatal(err)
	}
	got, err := decode(&file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(results{}, figure{}, race{})); diff != "" {
		t.Errorf("read, not as written (-want +got):\n%s", diff)
	}
}

func TestMedian(t *testing.T) {
	for want, values := range map[float64][]float64{2: {3, 1, 2}, 2.5: {4, 1, 3, 2}, 7: {7}} {
		if got := median(values); got != want {
			t.Errorf("the median of %v is %v, want %v", values, got, want)
		}
	}
}
