package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// decideRules is how many rules the benchmarks images and labels of package
// router have.
const decideRules = 1000

// benchLine is what `go test -bench -benchmem` prints of one benchmark.
var benchLine = regexp.MustCompile(`Benchmark(\S+?)(?:-\d+)?\s+\d+\s+([\d.]+) ns/op\s+(?:([\d.]+) B/rule\s+)?\d+ B/op\s+(\d+) allocs/op`)

// measureDecide takes package router's own benchmarks of decisions in which the
// last rule matches. Those over 1,000 rules are compared with as many calls of
// path.Match, which is what a router without an idea would do, and that over
// 10,000 with going through all of them, and with cel-go and OPA's Rego evaluating
// the same rules.
func measureDecide(ctx context.Context, rounds int) (figures []figure, err error) {
	others, err := startPolicies(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, others.close()) }()
	times, ratios := map[string][]float64{}, map[string][]float64{}
	allocs := map[string]string{}
	var kept string // of a rule, by its index, in bytes
	for range rounds {
		baseline := matchThousand()
		cel, rego, err := others.decide()
		if err != nil {
			return nil, err
		}
		cmd := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", "^Benchmark(Decide|DecideWithoutIndex|Index)$", "-benchmem", "-benchtime", "300ms", "./router")
		out, err := cmd.CombinedOutput()
		if err != nil {
			return nil, fmt.Errorf("%w: %s", err, out)
		}
		found := benchLine.FindAllStringSubmatch(string(out), -1)
		ns := map[string]float64{}
		for _, m := range found {
			name := strings.TrimPrefix(m[1], "Decide/")
			if ns[name], err = strconv.ParseFloat(m[2], 64); err != nil {
				return nil, err
			}
			times[name] = append(times[name], ns[name]/1000)
			ratios[name] = append(ratios[name], ns[name]/float64(baseline.Nanoseconds()))
			allocs[name] = m[4]
			if m[3] != "" {
				kept = m[3]
			}
		}
		for _, name := range []string{"images", "labels", "ten-thousand", "DecideWithoutIndex/ten-thousand", "Index"} {
			if ns[name] == 0 {
				return nil, fmt.Errorf("no figure of %s in %q", name, out)
			}
		}
		for name, other := range map[string]float64{"cel": cel, "rego": rego, "all": ns["DecideWithoutIndex/ten-thousand"]} {
			ratios[name] = append(ratios[name], other/ns["ten-thousand"])
			times[name] = append(times[name], other/1000)
		}
	}
	for _, kind := range []string{"images", "labels"} {
		figures = append(figures,
			figure{slug: kind, name: "Decision over 1,000 rules of " + kind + ", the last matches", values: times[kind], unit: "µs", aim: 20, atMost: true,
				detail: allocs[kind] + " allocations in all"},
			figure{slug: kind + "-ratio", name: "The same / 1,000 calls of path.Match", values: ratios[kind], unit: "x", aim: 1, atMost: true})
	}
	return append(figures,
		figure{slug: "ten-thousand", name: "Decision over 10,000 rules, the last matches", values: times["ten-thousand"], unit: "µs", aim: 50, atMost: true,
			detail: allocs["ten-thousand"] + " allocations in all"},
		figure{slug: "all", name: "Going through all of them, without the index / the same", values: ratios["all"], unit: "x",
			detail: fmt.Sprintf("%.0f µs", median(times["all"]))},
		figure{slug: "cel", name: "cel-go, a program for each rule / the same", values: ratios["cel"], unit: "x", aim: 1,
			detail: fmt.Sprintf("cel-go %.0f µs", median(times["cel"]))},
		figure{slug: "rego", name: "OPA's Rego, one prepared query / the same", values: ratios["rego"], unit: "x", aim: 1,
			detail: fmt.Sprintf("Rego %.0f µs", median(times["rego"]))},
		figure{slug: "index", name: "Making the index of 10,000 rules, once for each config", values: times["Index"], unit: "µs",
			detail: kept + " bytes a rule"}), nil
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
