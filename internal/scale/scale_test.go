package main

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestPage: docs/scaling.md shows what the command prints. It is run apart from
// this test, whose race detector would make it slow.
func TestPage(t *testing.T) {
	page, err := os.ReadFile("../../docs/scaling.md")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("go", "run", ".")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	tables := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n\n")
	if len(tables) != 1+2*6 { // the fleet, then a title and its rows each
		t.Fatalf("%d pieces:\n%s", len(tables), out)
	}
	for _, piece := range tables {
		if !strings.Contains(string(page), "\n"+piece+"\n") {
			t.Errorf("docs/scaling.md does not show this, which go run ./internal/scale prints:\n%s", piece)
		}
	}
}
