// Package testenv gives tests the real engines that they run against. `make
// test` starts them and tells the tests through the environment:
//
//	DOCKER_HOST, ATOM_TEST_IMAGE   a Docker daemon, and the probe image that it has
//	ATOM_TEST_REQUIRE              "docker": a missing engine is a failure, not a skip
//
// Whoever has a daemon for tests can name it in ATOM_TEST_DOCKER_HOST; it is
// used then, and none is installed or started.
package testenv
