package main

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"slices"
)

// What was measured: docs/performance.md, by make bench.
const (
	waitKiB    = 22.5   // an open Wait, router and plugin together: waits
	knownMiB   = 44.0   // a kube plugin that knows 5,000 finished atoms: kube-memory
	jobSeconds = 0.0025 // of processor, router and plugin, for a pod's Create, Wait and Delete: kube-create, with wide limits
	callUS     = 350.0  // of processor, router and plugin, for each backend that a Lookup asks: growth, 100 on two processors
	requests   = 2.0    // at the API server in an atom's life: kube-requests
	dockerConn = 17.0   // connections to a Docker daemon for any number of Waits: docker-waits
)

// What others write of theirs: the page says where.
const (
	bridgePorts   = 1023.0 // containers on one Linux bridge
	namespacePods = 3000.0
	nodePods      = 110.0
	clusterPods   = 150_000.0
	etcdGiB       = 2.0 // its default quota
)

// What is assumed, and to be replaced by one's own.
const (
	serverGets = serverWork // a second, of an API server
	podKiB     = 8.0        // of a pod in etcd
	routerGiB  = 16.0       // of a router's machine
	lookAgain  = 450.0      // seconds: 300, and up to as much again
)

// limit is something that grows with the number of atoms until it meets an
// end.
type limit struct {
	what, here string
	bites      float64 // at so many atoms in all, the fleet being what it is
}

func limits(w io.Writer) {
	perAtom := func(load float64) float64 { return load / atoms }
	const lookups = creates * backends * callUS / 1e6 // processors of them all
	all := []limit{
		{"Docker: containers on the default bridge", fmt.Sprintf("%s of %s a daemon", thousands(perBackend), thousands(bridgePorts)), bridgePorts * backends},
		{"Kubernetes: pods in the backend's namespace", fmt.Sprintf("%s of %s", thousands(perBackend), thousands(namespacePods)), namespacePods * backends},
		{"Lookups at each API server, all Creates with Keys, one rule over all", fmt.Sprintf("%s of %s/s", thousands(int(math.Round(creates))), thousands(serverGets)), serverGets / perAtom(creates)},
		{"Memory of a router's 200 plugins, each of which knows its cluster", fmt.Sprintf("%.1f of %.0f GiB", knownMiB*backends/1024, routerGiB), routerGiB * 1024 / perAtom(knownMiB*backends)},
		{"Requests at an API server: two an atom, and looking again", fmt.Sprintf("%.0f of %s/s", creates/backends*requests+perBackend/lookAgain, thousands(serverGets)), serverGets / perAtom(creates/backends*requests+perBackend/lookAgain)},
		{"Memory of a router's Waits", fmt.Sprintf("%.2f of %.0f GiB", perBackend*backends/routers*waitKiB/1024/1024, routerGiB), routerGiB * 1024 * 1024 / perAtom(atoms/routers*waitKiB)},
		{"Kubernetes: pods in the cluster", fmt.Sprintf("%s of %s", thousands(perBackend), thousands(clusterPods)), clusterPods * backends},
		{"A router's processor, 2.5 ms a job", fmt.Sprintf("%.2f of 2", creates/routers*jobSeconds), 2 / perAtom(creates/routers*jobSeconds)},
		{"A router's processors for lookups, all Creates with Keys, one rule over all", fmt.Sprintf("%.2f of 2", lookups/routers), 2 / perAtom(lookups/routers)},
		{"etcd: pods by size", fmt.Sprintf("%.2f of %.0f GiB", perBackend*podKiB/1024/1024, etcdGiB), etcdGiB * 1024 * 1024 / perAtom(perBackend*podKiB)},
	}
	slices.SortStableFunc(all, func(a, b limit) int { return cmp.Compare(a.bites, b.bites) })
	rows := [][]string{{"", "here", "ends at atoms"}}
	for _, l := range all {
		rows = append(rows, []string{l.what, l.here, thousands(int(l.bites) / 1000 * 1000)})
	}
	table(w, "What meets its end, and at how many atoms in all", rows)

	rows = [][]string{{"", "each", "in all"}}
	for _, r := range []struct {
		what, each string
		all        float64
	}{
		{"Requests to API servers, a second", fmt.Sprintf("%.0f a cluster", creates/backends*requests+perBackend/lookAgain), creates*requests + atoms/lookAgain},
		{"The same with Keys and one rule over all", fmt.Sprintf("%.0f a cluster", creates/backends*requests+perBackend/lookAgain+creates), creates*requests + atoms/lookAgain + creates*backends},
		{"Watches", fmt.Sprintf("%d a cluster", routers), routers * backends},
		{"Plugin processes", fmt.Sprintf("%d a router", backends), routers * backends},
		{"Connections to Docker daemons, were they Docker", fmt.Sprintf("%.0f a daemon", dockerConn*routers), dockerConn * routers * backends},
		{"Nodes, at 110 pods", fmt.Sprintf("%.0f a cluster", perBackend/nodePods+0.5), atoms / nodePods},
		{"Processors for jobs", fmt.Sprintf("%.2f a router", creates/routers*jobSeconds), creates * jobSeconds},
		{"Processors for lookups, Keys and one rule over all", fmt.Sprintf("%.2f a router", lookups/routers), lookups},
		{"Memory of plugins, GiB", fmt.Sprintf("%.1f a router", knownMiB*backends/1024), knownMiB * backends / 1024 * routers},
		{"Memory of Waits, GiB", fmt.Sprintf("%.2f a router", atoms/routers*waitKiB/1024/1024), atoms * waitKiB / 1024 / 1024},
	} {
		rows = append(rows, []string{r.what, r.each, thousands(int(r.all + 0.5))})
	}
	table(w, "What it takes", rows)
}
