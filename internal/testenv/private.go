package testenv

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// StartKube starts a cluster for one test alone, which may Kill and Start its
// parts. It is skipped or fails like Kube, and also where the cluster for all
// tests is somebody else's, as there is nothing to start one from then.
func StartKube(t testing.TB, o ClusterOptions) *Cluster {
	t.Helper()
	Kube(t)
	programs := os.Getenv(ProgramsVariable)
	if programs == "" {
		t.Skip("this test needs a cluster that it may break, and only one that it may not was given in " + ClusterVariable)
	}
	state, run := privateDirs(t, privateKube)
	c, err := StartCluster(t.Context(), state, run, programs, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			var text strings.Builder
			c.LogTails(&text)
			t.Log(text.String())
		}
		if err := c.Remove(); err != nil {
			t.Errorf("removing the test's cluster: %v", err)
		}
	})
	return c
}

// StartDocker starts a daemon for one test alone, which may Kill and Start it,
// with the probe image. It is skipped or fails like Docker.
func StartDocker(t testing.TB) *Daemon {
	t.Helper()
	Docker(t)
	state, run := privateDirs(t, privateDocker)
	d, err := StartDaemon(t.Context(), state, run)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the end of %s:\n%s", filepath.Join(state, "dockerd.log"), d.logTail())
		}
		if err := d.Remove(); err != nil {
			t.Errorf("removing the test's Docker daemon: %v", err)
		}
	})
	if err := LoadProbe(t.Context(), d.Host()); err != nil {
		t.Fatal(err)
	}
	return d
}
