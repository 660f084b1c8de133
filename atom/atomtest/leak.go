package atomtest

import (
	"regexp"
	"runtime"
	"slices"
	"strings"
	"time"
)

// goroutines returns the stack of every goroutine of this process, by its
// header without the state ("goroutine 12").
func goroutines() map[string]string {
	buf := make([]byte, 1<<20)
	for {
		n := runtime.Stack(buf, true)
		if n < len(buf) {
			buf = buf[:n]
			break
		}
		buf = make([]byte, 2*len(buf))
	}
	stacks := make(map[string]string)
	for stack := range strings.SplitSeq(string(buf), "\n\n") {
		id, _, _ := strings.Cut(stack, " [")
		stacks[id] = stack
	}
	return stacks
}

// leaked returns the stacks of goroutines that were not there before, once
// those that are about to end have had ten seconds to do so.
func leaked(before map[string]string, ignore func(string) bool) []string {
	for deadline := time.Now().Add(10 * time.Second); ; {
		var left []string
		for id, stack := range goroutines() {
			if _, old := before[id]; old || ours(stack) || ignore != nil && ignore(stack) {
				continue
			}
			left = append(left, stack)
		}
		if len(left) == 0 || time.Now().After(deadline) {
			slices.Sort(left)
			return left
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// ours tells the goroutines of tests and of the runtime from an engine's.
func ours(stack string) bool {
	for _, mark := range []string{
		"testing.(*T).Run(", "testing.(*T).Parallel(", "testing.tRunner.func", "testing.runFuzzing",
		"atomtest.goroutines(", "os/signal.signal_recv(", "os/signal.loop(", "runtime.ensureSigM",
	} {
		if strings.Contains(stack, mark) {
			return true
		}
	}
	return false
}

// birthplace is where a goroutine was started.
var birthplace = regexp.MustCompile(`(?m)^created by (.*?)(?: in goroutine \d+)?\n\t(\S+)`)

// census counts goroutines by where they were started.
func census() map[string]int {
	counts := make(map[string]int)
	for _, stack := range goroutines() {
		if m := birthplace.FindStringSubmatch(stack); m != nil {
			counts[m[1]+" at "+m[2]]++
		}
	}
	return counts
}
