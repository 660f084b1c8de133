// Command bench measures what the router costs. Each figure is a ratio against
// a baseline taken in the same run, since machines differ and are shared; each
// is taken over several rounds in which baseline and subject alternate, and
// printed with the spread. What was measured is written to docs/performance, in
// the format of Go's benchmarks, and docs/performance.md is made from all that
// is there.
//
//	go run ./internal/bench            every measurement
//	go run ./internal/bench get logs   those two
//	go run ./internal/bench -page      none: make the page again
//
// Measurements that need Docker or Kubernetes use DOCKER_HOST,
// ATOM_TEST_KUBECONFIG and ATOM_TEST_IMAGE, as `make testenv` writes them, and
// are left out aloud where there is none. The others are better measured before
// those run: -engines without, and then -engines with, is what `make bench` does.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"time"
)

// measurement is one thing that bench can measure.
type measurement struct {
	name string
	run  func(ctx context.Context, rounds int) ([]figure, error)
	real bool // needs Docker or Kubernetes
}

// errNoEngine leaves a measurement out for want of a real engine.
var errNoEngine = errors.New("no engine to measure against")

func main() {
	// The processes that are measured are this binary too.
	if len(os.Args) > 1 && strings.HasPrefix(os.Args[1], "child-") {
		child(os.Args[1], os.Args[2:])
		return
	}
	rounds := flag.Int("rounds", 6, "rounds of each measurement; at least 5, and 6 for an interval that benchstat trusts")
	loadFor := flag.Duration("load", time.Minute, "how long the daemon is under load: beside the library, left alone, and restarted all the while, so long each")
	engines := flag.String("engines", "", "with: only what needs Docker or Kubernetes; without: only what does not, better measured before they run")
	onlyPage := flag.Bool("page", false, "measure nothing, and make the page from the results that there are")
	flag.Parse()
	all := []measurement{
		{name: "decide", run: measureDecide},
		{name: "get", run: measureGet},
		{name: "floor", run: measureFloor},
		{name: "create", run: measureCreate, real: true},
		{name: "storm", run: measureStorm},
		{name: "docker-storm", run: measureDockerStorm, real: true},
		{name: "kube-storm", run: measureKubeStorm, real: true},
		{name: "logs", run: measureLogs, real: true},
		{name: "follows", run: measureFollows},
		{name: "log-delay", run: measureLogDelay, real: true},
		{name: "start", run: measureStart},
		{name: "growth", run: measureGrowth},
		{name: "recovery", run: measureRecovery},
		{name: "waits", run: measureWaits},
		{name: "crash-loop", run: measureCrashLoop},
		{name: "list", run: measureList},
		{name: "load", run: func(ctx context.Context, rounds int) ([]figure, error) { return measureLoad(ctx, rounds, *loadFor) }},
		{name: "docker-waits", run: measureDockerWaits},
		{name: "kube-waits", run: measureKubeWaits},
		{name: "kube-create", run: measureKubeCreate, real: true},
		{name: "kube-requests", run: measureKubeRequests, real: true},
		{name: "kube-get", run: measureKubeGet, real: true},
		{name: "kube-memory", run: measureKubeMemory, real: true},
	}
	wanted, err := choose(all, flag.Args(), *engines)
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if !*onlyPage {
		err = measure(ctx, wanted, max(*rounds, 5))
	}
	if err := errors.Join(err, writePage()); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// choose returns those of the names, or those that -engines says.
func choose(all []measurement, names []string, engines string) (chosen []measurement, err error) {
	for _, name := range names {
		if !slices.ContainsFunc(all, func(m measurement) bool { return m.name == name }) {
			return nil, fmt.Errorf("no measurement is called %q", name)
		}
	}
	if !slices.Contains([]string{"", "with", "without"}, engines) {
		return nil, fmt.Errorf("-engines is with or without, not %q", engines)
	}
	for _, m := range all {
		if len(names) > 0 && slices.Contains(names, m.name) || len(names) == 0 && (engines == "" || m.real == (engines == "with")) {
			chosen = append(chosen, m)
		}
	}
	return chosen, nil
}

func measure(ctx context.Context, chosen []measurement, rounds int) error {
	machine := thisMachine()
	var missed int
	for _, m := range chosen {
		figures, err := m.run(ctx, rounds)
		if errors.Is(err, errNoEngine) {
			fmt.Printf("%-14s left out: %v\n", m.name, err)
			continue
		}
		if err != nil {
			return fmt.Errorf("measuring %s: %w", m.name, err)
		}
		for _, f := range figures {
			if f.name != "" {
				fmt.Println(f)
			}
			if !f.met() {
				missed++
			}
		}
		if err := (results{figures: figures, machine: machine}).write(m.name); err != nil {
			return err
		}
	}
	if missed > 0 {
		fmt.Printf("%d aims missed\n", missed)
	}
	return nil
}
