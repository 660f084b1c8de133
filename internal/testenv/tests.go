package testenv

import (
	"os"
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
