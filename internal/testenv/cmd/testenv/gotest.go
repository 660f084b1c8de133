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
	failures                []string
	skips                   map[string]int // by reason
	engines                 map[string]bool
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
		s.failures = append(s.failures, e.Package+" "+e.Test)
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
		if text := s.output[e.Package+" "]; text != nil && !slices.ContainsFunc(s.failures, func(f string) bool { return strings.HasPrefix(f, e.Package+" ") }) {
			s.failed++
			fmt.Print(text)
		}
		fmt.Printf("FAIL  %-70s %6.1fs\n", e.Package, e.Elapsed)
	default:
		fmt.Printf("ok    %-70s %6.1fs\n", e.Package, e.Elapsed)
	}
}

// reason is what a skipped test said of it: its output but for the framework's
// own lines.
func (s *summary) reason(key string) string {
	text := s.output[key]
	if text == nil {
		return "no reason given"
	}
	for line := range strings.Lines(text.String()) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "===") || strings.HasPrefix(line, "---") || strings.HasPrefix(line, testenv.Exercised) {
			continue
		}
		if _, said, ok := strings.Cut(line, ".go:"); ok {
			if _, said, ok = strings.Cut(said, ": "); ok && !strings.HasPrefix(said, testenv.Exercised) {
				return said
			}
		}
	}
	return "no reason given"
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
		fmt.Println("Failed:", f)
	}
	fmt.Printf("%d passed, %d failed, %d skipped\n", s.passed, s.failed, s.skipped)
}
