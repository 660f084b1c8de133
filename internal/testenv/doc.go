// Package testenv gives tests the real engines that they run against. `make
// test` starts them and tells the tests through the environment:
//
//	DOCKER_HOST            a Docker daemon
//	ATOM_TEST_KUBECONFIG   the administrator's kubeconfig of a Kubernetes cluster
//	ATOM_TEST_PODMAN_HOST  a Podman service, as a DOCKER_HOST
//	ATOM_TEST_IMAGE        the probe image, which all have
//	ATOM_TEST_PROMETHEUS   the directory of prometheus and promtool
//	ATOM_TEST_OTLP_RECEIVER the OpenTelemetry collector's receiver of traces
//	ATOM_TEST_REQUIRE      "docker,kube,podman,prometheus,otlp": what is missing is a failure, not a skip
//
// Whoever has a daemon for tests can name it in ATOM_TEST_DOCKER_HOST, whoever
// has a cluster in ATOM_TEST_KUBECONFIG, and whoever has a Podman service in
// ATOM_TEST_PODMAN_HOST; they are used then, and none
// is installed or started. Such a cluster's nodes must have the probe image,
// and test programs must run on its only node for all tests to pass.
package testenv
