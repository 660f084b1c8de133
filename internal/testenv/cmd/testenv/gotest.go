package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"

	"github.com/atom-router/atom-router/internal/testenv"
)

// event is a line of `go test -json` (go doc test2json).
type event struct {
	Action, Package, ImportPath, Test, Output, FailedBuild string
	Elapsed                                                float64
}

// summary is what is told at the end.
type summary struct {
	output                  map[string]*strings.Builder // by package and test
	passed, failed, skipped int
	failures                []failure
	skips                   map[string]int // by reason
	engines                 map[string]bool
}

// failure is a failed test and what it said, a line each.
type failure struct {
	pkg, test string
	said      []string
}

// goTest runs `go test -json` and prints a line for each package, the output
// of what failed, and at the end what was exercised and what was not.
func goTest(ctx context.Context, args, vars []string) (int, error) {
	cmd := exec.CommandContext(ctx, "go", append([]string{"test", "-json"}, args...)...)
	cmd.Env = append(os.Environ(), vars...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return 1, err
	}
	if err := cmd.Start(); err != nil {
		return 1, err
	}
	s := &summary{output: map[string]*strings.Builder{}, skips: map[string]int{}, engines: map[string]bool{}}
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		var e event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			fmt.Println(lines.Text()) // not of ours: the go command's own words
			continue
		}
		s.take(e)
	}
	if err := lines.Err(); err != nil {
		fmt.Fprintln(os.Stderr, "testenv: reading go test's output:", err)
		s.failed++
	}
	err = cmd.Wait()
	s.print()
	if err != nil || s.failed > 0 {
		return 1, nil
	}
	if s.passed == 0 {
		return 1, fmt.Errorf("no test ran")
	}
	return 0, nil
}

func (s *summary) take(e event) {
	key := e.Package + " " + e.Test
	switch e.Action {
	case "build-output":
		fmt.Print(e.Output)
	case "output":
		if s.output[key] == nil {
			s.output[key] = &strings.Builder{}
		}
		s.output[key].WriteString(e.Output)
		if _, engine, ok := strings.Cut(e.Output, testenv.Exercised); ok {
			s.engines[strings.TrimSpace(engine)] = true
		}
	case "pass", "fail", "skip":
		if e.Test == "" {
			s.endPackage(e)
		} else {
			s.endTest(e, key)
		}
		delete(s.output, key)
	}
}

func (s *summary) endTest(e event, key string) {
	switch e.Action {
	case "pass":
		s.passed++
	case "skip":
		s.skipped++
		s.skips[s.reason(key)]++
	case "fail":
		s.failed++
		f := failure{pkg: e.Package, test: e.Test, said: s.said(key)}
		f.said = f.said[:min(len(f.said), 5)]
		s.failures = append(s.failures, f)
		if text := s.output[key]; text != nil {
			fmt.Printf("--- %s\n%s", key, text)
		}
	}
}

func (s *summary) endPackage(e event) {
	switch {
	case e.Action == "skip":
		return // no test files
	case e.Action == "fail":
		// Its tests have counted themselves; a build, a panic or a leak that
		// belongs to none of them has not.
		if text := s.output[e.Package+" "]; text != nil && !slices.ContainsFunc(s.failures, func(f failure) bool { return f.pkg == e.Package }) {
			s.failed++
			fmt.Print(text)
		}
		fmt.Printf("FAIL  %-70s %6.1fs\n", e.Package, e.Elapsed)
	default:
		fmt.Printf("ok    %-70s %6.1fs\n", e.Package, e.Elapsed)
	}
}

// reason is what a skipped test said of it.
func (s *summary) reason(key string) string {
	for _, line := range s.said(key) {
		if _, said, ok := strings.Cut(line, ": "); ok {
			return said
		}
	}
	return "no reason given"
}

// said are the lines that a test logged, each with its file and line, and
// without those that go on: the logs of a whole cluster may stand there.
func (s *summary) said(key string) []string {
	text := s.output[key]
	if text == nil {
		return nil
	}
	var lines []string
	for line := range strings.Lines(text.String()) {
		if strings.HasPrefix(line, "     ") { // goes on
			continue
		}
		line = strings.TrimSpace(line)
		place, said, _ := strings.Cut(line, ": ")
		file, number, ok := strings.Cut(place, ".go:")
		if _, err := strconv.Atoi(number); !ok || err != nil || strings.Contains(file, " ") || strings.HasPrefix(said, testenv.Exercised) {
			continue
		}
		lines = append(lines, line)
	}
	return lines
}

func (s *summary) print() {
	fmt.Println()
	engines := slices.Sorted(maps.Keys(s.engines))
	if len(engines) == 0 {
		engines = []string{"none"}
	}
	fmt.Println("Real engines exercised:", strings.Join(engines, ", "), "(and processes of this machine)")
	for _, reason := range slices.Sorted(maps.Keys(s.skips)) {
		fmt.Printf("Skipped %d: %s\n", s.skips[reason], reason)
	}
	for _, f := range s.failures {
		fmt.Println("Failed:", f.pkg, f.test)
		for _, line := range f.said {
			fmt.Println("   ", line)
		}
	}
	fmt.Printf("%d passed, %d failed, %d skipped\n", s.passed, s.failed, s.skipped)
}
