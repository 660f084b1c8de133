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
// are left out aloud where there is none.
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
	loadFor := flag.Duration("load", time.Minute, "how long the daemon is under load, undisturbed and then restarted all the while")
	onlyPage := flag.Bool("page", false, "measure nothing, and make the page from the results that there are")
	flag.Parse()
	all := []measurement{
		{"decide", measureDecide},
		{"get", measureGet},
		{"floor", measureFloor},
		{"create", measureCreate},
		{"storm", measureStorm},
		{"docker-storm", measureDockerStorm},
		{"kube-storm", measureKubeStorm},
		{"logs", measureLogs},
		{"follows", measureFollows},
		{"log-delay", measureLogDelay},
		{"start", measureStart},
		{"growth", measureGrowth},
		{"recovery", measureRecovery},
		{"waits", measureWaits},
		{"crash-loop", measureCrashLoop},
		{"list", measureList},
		{"load", func(ctx context.Context, rounds int) ([]figure, error) { return measureLoad(ctx, rounds, *loadFor) }},
		{"docker-waits", measureDockerWaits},
		{"kube-waits", measureKubeWaits},
		{"kube-create", measureKubeCreate},
		{"kube-requests", measureKubeRequests},
		{"kube-get", measureKubeGet},
		{"kube-memory", measureKubeMemory},
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	var err error
	if !*onlyPage {
		err = measure(ctx, all, flag.Args(), max(*rounds, 5))
	}
	if err := errors.Join(err, writePage()); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func measure(ctx context.Context, all []measurement, wanted []string, rounds int) error {
	for _, w := range wanted {
		if !slices.ContainsFunc(all, func(m measurement) bool { return m.name == w }) {
			return fmt.Errorf("no measurement is called %q", w)
		}
	}
	machine := thisMachine()
	var missed int
	for _, m := range all {
		if len(wanted) > 0 && !slices.Contains(wanted, m.name) {
			continue
		}
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
