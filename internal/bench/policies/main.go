// Command policies evaluates the rules of package router's benchmark with
// cel-go and with OPA's Rego, for `make bench` to compare. A module of its own,
// so that the product's requirements know nothing of them.
//
// For each line on its standard input it prints how long a decision takes with
// either, in nanoseconds. The rules are 10,000, as rules10000 of package router
// makes them, and the last one matches.
package main

import (
	"bufio"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
)

const ruleCount = 10_000

// The request, that of package router's benchmark.
var (
	image  = "registry.example.com/project/image-x:13"
	env    = map[string]any{"STAGE": "stage-x7", "HOME": "/root", "LANG": "C"}
	labels = map[string]any{"team": "team-x9-last", "ticket": "1138"}
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "policies:", err)
		os.Exit(1)
	}
}

func run() error {
	cel, err := newCEL()
	if err != nil {
		return fmt.Errorf("cel-go: %w", err)
	}
	rego, err := newRego()
	if err != nil {
		return fmt.Errorf("rego: %w", err)
	}
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		celTime, err := timed(cel)
		if err != nil {
			return fmt.Errorf("cel-go: %w", err)
		}
		regoTime, err := timed(rego)
		if err != nil {
			return fmt.Errorf("rego: %w", err)
		}
		fmt.Println(celTime.Nanoseconds(), regoTime.Nanoseconds())
	}
	return nil
}

// timed returns the median of the decisions of a third of a second, and of
// five at least, after one that is not counted.
func timed(decide func() (int, error)) (time.Duration, error) {
	var times []time.Duration
	for end := time.Now().Add(300 * time.Millisecond); len(times) < 6 || time.Now().Before(end); {
		start := time.Now()
		rule, err := decide()
		if err != nil {
			return 0, err
		}
		if rule != ruleCount-1 {
			return 0, fmt.Errorf("rule %d decided, not the last", rule)
		}
		times = append(times, time.Since(start))
	}
	times = slices.Sorted(slices.Values(times[1:]))
	return times[len(times)/2], nil
}

// rule is one of them: what it asks (image, env or labels) by which kind of
// pattern, and whether a condition on gpus stands behind that.
type rule struct {
	asks string
	key  string
	kind string // whole, start, end, within, ends (both) or regexp
	a, b string // the pattern's literals
	when bool
}

func rules() []rule {
	kinds := []string{"end", "within", "ends", "any", "regexp"}
	list := make([]rule, ruleCount)
	for i := range list {
		r := rule{kind: append([]string{"whole", "start"}, kinds[i/9%len(kinds)])[i/3%3], when: i%10 == 0}
		name := ""
		switch i % 3 {
		case 0:
			r.asks, name = "image", "registry.example.com/project/image"
		case 1:
			r.asks, r.key, name = "env", "STAGE", "stage"
		case 2:
			r.asks, r.key, name = "labels", "team", "team"
		}
		switch r.kind {
		case "whole", "start":
			r.a = fmt.Sprintf("%s-%d", name, i)
		case "end":
			r.a = fmt.Sprintf("-%d", i)
		case "within":
			r.a = fmt.Sprintf("-%d-", i)
		case "ends":
			r.a, r.b = name+"-", fmt.Sprintf("-%d", i)
		case "any":
			r.kind, r.a = "regexp", fmt.Sprintf("^%s-%d-.$", strings.ReplaceAll(name, ".", "[.]"), i)
		case "regexp":
			r.a = fmt.Sprintf("^%s-%d-[0-9]+$", name, i)
		}
		list[i] = r
	}
	list[ruleCount-1] = rule{asks: "labels", key: "team", kind: "end", a: "-last"}
	return list
}
