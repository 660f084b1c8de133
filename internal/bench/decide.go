package main

import (
	"context"
	"fmt"
	"os/exec"
	"path"
	"regexp"
	"strconv"
	"time"
)

// decideRules is how many rules BenchmarkDecide of package router has.
const decideRules = 1000

// benchLine is what `go test -bench -benchmem` prints of one benchmark.
var benchLine = regexp.MustCompile(`BenchmarkDecide/(\w+)\S*\s+\d+\s+([\d.]+) ns/op\s+\d+ B/op\s+(\d+) allocs/op`)

// measureDecide takes package router's own benchmark of a decision over 1,000
// rules, of which the last matches, and compares it with as many calls of
// path.Match, which is what a router without an idea would do.
func measureDecide(ctx context.Context, rounds int) ([]figure, error) {
	times, ratios := map[string][]float64{}, map[string][]float64{}
	allocs := map[string]string{}
	for range rounds {
		baseline := matchThousand()
		cmd := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", "^BenchmarkDecide$", "-benchmem", "-benchtime", "300ms", "./router")
		out, err := cmd.CombinedOutput()
		if err != nil {
			return nil, fmt.Errorf("%w: %s", err, out)
		}
		found := benchLine.FindAllStringSubmatch(string(out), -1)
		if len(found) == 0 {
			return nil, fmt.Errorf("no figures in %q", out)
		}
		for _, m := range found {
			ns, err := strconv.ParseFloat(m[2], 64)
			if err != nil {
				return nil, err
			}
			times[m[1]] = append(times[m[1]], ns/1000)
			ratios[m[1]] = append(ratios[m[1]], ns/float64(baseline.Nanoseconds()))
			allocs[m[1]] = m[3]
		}
	}
	var figures []figure
	for _, kind := range []string{"images", "labels"} {
		figures = append(figures,
			figure{name: "decision, 1000 rules of " + kind, values: times[kind], unit: " µs", aim: 20, atMost: true,
				detail: allocs[kind] + " allocations in all"},
			figure{name: "the same / 1000 path.Match", values: ratios[kind], unit: "x", aim: 1, atMost: true})
	}
	return figures, nil
}

// matchThousand is the baseline: the same patterns with the standard library.
func matchThousand() time.Duration {
	patterns := make([]string, decideRules)
	for i := range patterns {
		patterns[i] = fmt.Sprintf("*/image-%d:*", i)
	}
	const repeats = 200
	took, _ := medianOf(repeats, func() error {
		for _, p := range patterns {
			if _, err := path.Match(p, "registry/project:tag"); err != nil {
				return err
			}
		}
		return nil
	})
	return took
}
