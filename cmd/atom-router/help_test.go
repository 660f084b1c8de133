package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
)

// Every verb's help in one file. UPDATE_GOLDEN=1 writes it.
func TestHelp(t *testing.T) {
	var all bytes.Buffer
	a := &app{stdout: &all, stderr: &all}
	var walk func(*cobra.Command)
	walk = func(cmd *cobra.Command) {
		if cmd.Hidden {
			return
		}
		fmt.Fprintf(&all, "$ %s --help\n", cmd.CommandPath())
		var text bytes.Buffer
		printHelp(&text, cmd)
		all.Write(text.Bytes())
		all.WriteString("\n")
		if cmd.Runnable() {
			checkHelp(t, cmd, text.String())
		}
		for _, c := range cmd.Commands() {
			walk(c)
		}
	}
	walk(a.root())
	golden := filepath.Join("testdata", "help.golden")
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(golden, all.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), all.String()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// checkHelp wants the examples first, and each of them to be a command line
// that there is.
func checkHelp(t *testing.T, cmd *cobra.Command, text string) {
	t.Helper()
	examples := strings.Index(text, "\nExamples:\n")
	if examples < 0 {
		t.Errorf("%s has no examples", cmd.CommandPath())
		return
	}
	for _, later := range []string{"\nUsage:\n", "\nFlags:\n", "\nFlags of every command:\n"} {
		if i := strings.Index(text, later); i >= 0 && i < examples {
			t.Errorf("%s: %q stands before the examples", cmd.CommandPath(), strings.TrimSpace(later))
		}
	}
	for _, name := range []string{"ATOM_ROUTER_CONFIG", "NO_COLOR"} {
		if !strings.Contains(text, name) {
			t.Errorf("%s does not tell of %s", cmd.CommandPath(), name)
		}
	}
	for line := range strings.Lines(cmd.Example) {
		checkExample(t, cmd, strings.TrimSpace(line))
	}
}

func checkExample(t *testing.T, cmd *cobra.Command, line string) {
	t.Helper()
	_, rest, found := strings.Cut(line, "atom-router ")
	if !found {
		t.Errorf("%s: %q is no example of it", cmd.CommandPath(), line)
		return
	}
	for _, end := range []string{" | ", " && ", " > ", ")", "   "} {
		rest, _, _ = strings.Cut(rest, end)
	}
	a := &app{stdout: &bytes.Buffer{}, stderr: &bytes.Buffer{}}
	root := a.root()
	found2, args, err := root.Find(strings.Fields(rest))
	if err != nil || found2 == root && len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		t.Errorf("%s: %q: %v", cmd.CommandPath(), line, err)
		return
	}
	if err := found2.ParseFlags(args); err != nil {
		t.Errorf("%s: %q: %v", cmd.CommandPath(), line, err)
	}
}
