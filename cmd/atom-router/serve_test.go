package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Whoever ends the daemon does not wait for a reload whose backends take long
// to start.
func TestServeEndsDuringAReload(t *testing.T) {
	dir, err := os.MkdirTemp("/tmp", "ats") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	started, config := filepath.Join(dir, "started"), filepath.Join(dir, "c.hcl")
	write := func(path, text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	there := func(path string) {
		t.Helper()
		for end := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
			if _, err := os.Stat(path); err == nil {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("there is no %s", path)
			}
		}
	}
	write(filepath.Join(dir, "atom-plugin-slow"), fmt.Sprintf("#!/bin/sh\n: > %s\nexec sleep 60\n", started))
	text := "plugin_dir = \".\"\nlisten \"unix\" {\n  path = \"s\"\n}\nbackend \"host\" { plugin = \"process\" }\ndefault { backend = \"host\" }\n"
	write(config, text)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, "serve", "-c", config)
	cmd.Args[0] = "atom-router"
	cmd.Env = append(os.Environ(), "XDG_STATE_HOME="+dir)
	var log bytes.Buffer
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	there(filepath.Join(dir, "s"))
	write(config, text+"backend \"slow\" { plugin = \"slow\" }\n")
	if err := cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	there(started)
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("it ended with %v", err)
	}
	told, given := strings.Index(log.String(), "told to end"), strings.Index(log.String(), "not replaced")
	if told < 0 || given < told {
		t.Errorf("the reload was not given up when the daemon was told to end:\n%s", log.String())
	}
}
