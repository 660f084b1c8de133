package atomtest

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

func TestProbeImageIsTheSameEachTime(t *testing.T) {
	probe, err := BuildProbeFor(t.Context(), t.TempDir(), "linux", "amd64")
	if err != nil {
		t.Fatal(err)
	}
	again, err := BuildProbeFor(t.Context(), t.TempDir(), "linux", "amd64")
	if err != nil {
		t.Fatal(err)
	}
	var a, b bytes.Buffer
	if err := WriteProbeImage(&a, probe, "example/probe:1"); err != nil {
		t.Fatal(err)
	}
	if err := WriteProbeImage(&b, again, "example/probe:1"); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a.Bytes(), b.Bytes()) {
		t.Error("two builds gave different images")
	}
	notLinux := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(notLinux, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := WriteProbeImage(&b, notLinux, "x"); err == nil {
		t.Error("a script was taken for a program")
	}
}

func TestProbeProgram(t *testing.T) {
	probe, err := BuildProbe(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), probe).Output()
	if err != nil || string(out) != "probe\n" {
		t.Errorf("without arguments: %q, %v", out, err)
	}
	cmd := exec.CommandContext(t.Context(), probe, "print", "hello", ";", "sleep", "1ms", ";", "exit", "3")
	if out, _ := cmd.Output(); string(out) != "hello\n" || cmd.ProcessState.ExitCode() != 3 {
		t.Errorf("three steps: %q, code %d", out, cmd.ProcessState.ExitCode())
	}
}
