package kube

import (
	"os"
	"testing"
)

func adminConfig(t testing.TB) string {
	if os.Getenv("KUBECONFIG") == "" {
		t.Skip("no cluster")
	}
	return os.Getenv("KUBECONFIG")
}

func probeImage(t testing.TB) string { return "docker.io/atom-router/probe:test" }
