package testenv

import (
	"cmp"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Names of the variables that the tests are told by.
const (
	HostVariable     = "DOCKER_HOST"
	ImageVariable    = "ATOM_TEST_IMAGE"
	RequireVariable  = "ATOM_TEST_REQUIRE"
	ExternalVariable = "ATOM_TEST_DOCKER_HOST"
	// KUBECONFIG alone may name a cluster that does real work.
	ClusterVariable  = "ATOM_TEST_KUBECONFIG"
	ProgramsVariable = "ATOM_TEST_KUBE_PROGRAMS"
	PodmanVariable   = "ATOM_TEST_PODMAN_HOST"
	// The directory of prometheus and promtool, and the OTLP receiver.
	PrometheusVariable = "ATOM_TEST_PROMETHEUS"
	OTLPVariable       = "ATOM_TEST_OTLP_RECEIVER"
)

// Exercised and Missing begin the lines by which the summary of `make test`
// tells which real engines were there.
const (
	Exercised = "testenv: exercised "
	Missing   = "testenv: missing "
)

// Docker returns the DOCKER_HOST of the daemon that tests run against. Where
// there is none the test is skipped, or fails if docker is required.
func Docker(t testing.TB) string {
	t.Helper()
	host, image := os.Getenv(HostVariable), os.Getenv(ImageVariable)
	// DOCKER_HOST alone may be anybody's daemon, with work of its own.
	if host == "" || image == "" {
		missing(t, "docker")
	}
	t.Log(Exercised + "docker")
	return host
}

// Image returns the reference of the probe image, which that daemon has.
func Image(t testing.TB) string {
	t.Helper()
	Docker(t)
	return os.Getenv(ImageVariable)
}

// Podman returns the DOCKER_HOST of the Podman service that tests run against,
// which has the probe image. Where there is none the test is skipped, or fails
// if podman is required.
func Podman(t testing.TB) string {
	t.Helper()
	host := os.Getenv(PodmanVariable)
	if host == "" {
		missing(t, "podman")
	}
	t.Log(Exercised + "podman")
	return host
}

// Kube returns the administrator's kubeconfig of the cluster that tests run
// against. Where there is none the test is skipped, or fails if kube is
// required. When a test fails the ends of the cluster's logs are shown.
func Kube(t testing.TB) string {
	t.Helper()
	kubeconfig := os.Getenv(ClusterVariable)
	if kubeconfig == "" {
		missing(t, "kube")
	}
	t.Log(Exercised + "kube")
	c := &Cluster{state: filepath.Dir(kubeconfig)}
	t.Cleanup(func() {
		if t.Failed() {
			var text strings.Builder
			c.LogTails(&text)
			t.Log(text.String())
		}
	})
	return kubeconfig
}

// KubeImage returns the reference of the probe image, which the nodes of that
// cluster have.
func KubeImage(t testing.TB) string {
	t.Helper()
	return cmp.Or(os.Getenv(ImageVariable), ProbeImage)
}

// Prometheus returns the directory of Debian's prometheus and promtool. Where
// there is none the test is skipped, or fails if prometheus is required.
func Prometheus(t testing.TB) string {
	t.Helper()
	return tool(t, "prometheus", PrometheusVariable)
}

// OTLPReceiver returns the program that is the OpenTelemetry collector's
// receiver; internal/testenv/otlp says what it takes and prints. Where there
// is none the test is skipped, or fails if otlp is required.
func OTLPReceiver(t testing.TB) string {
	t.Helper()
	return tool(t, "otlp", OTLPVariable)
}

func tool(t testing.TB, name, variable string) string {
	t.Helper()
	path := os.Getenv(variable)
	if path == "" {
		missing(t, name)
	}
	t.Log(Exercised + name)
	return path
}

// Python sees to it that the machine's own Python has what plugins that are
// written in it need. Where it has not the test is skipped, or fails if python
// is required.
func Python(t testing.TB) {
	t.Helper()
	if files, _ := absent(pythonNeeds); len(files) > 0 {
		missing(t, "python")
	}
	t.Log(Exercised + "python")
}

// missing ends the test for want of an engine.
func missing(t testing.TB, engine string) {
	t.Helper()
	if Required(engine) {
		t.Fatalf("%s%s, and %s asks for it", Missing, engine, RequireVariable)
	}
	t.Skipf("%s%s (`make test` starts one)", Missing, engine)
}

// Required reports whether the tests must not do without an engine.
func Required(engine string) bool {
	return slices.Contains(strings.Split(os.Getenv(RequireVariable), ","), engine)
}
