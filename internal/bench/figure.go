package main

import (
	"fmt"
	"slices"
	"time"
)

// figure is one result, with what was aimed at.
type figure struct {
	name   string
	values []float64 // one a round
	unit   string    // "x" for ratios
	aim    float64   // 0 for none
	atMost bool      // the aim is an upper bound
	detail string
}

func (f figure) met() bool {
	m := median(f.values)
	switch {
	case f.aim == 0:
		return true
	case f.atMost:
		return m <= f.aim
	}
	return m >= f.aim
}

func (f figure) String() string {
	word, bound := "ok", "at least"
	if f.atMost {
		bound = "at most"
	}
	if !f.met() {
		word = "MISSED"
	}
	aim := ""
	if f.aim != 0 {
		aim = fmt.Sprintf("; aim: %s %.2f%s, %s", bound, f.aim, f.unit, word)
	}
	return fmt.Sprintf("%-34s %8.2f%s  (%.2f to %.2f in %d rounds%s)  %s",
		f.name, median(f.values), f.unit, slices.Min(f.values), slices.Max(f.values), len(f.values), aim, f.detail)
}

func median[T float64 | time.Duration](values []T) T {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

// medianOf times n calls and returns the median of one.
func medianOf(n int, call func() error) (time.Duration, error) {
	times := make([]time.Duration, n)
	for i := range times {
		start := time.Now()
		if err := call(); err != nil {
			return 0, err
		}
		times[i] = time.Since(start)
	}
	return median(times), nil
}

// alternate takes the ratio subject/baseline in each round, after one round
// that warms both up and is not counted. Every other round the subject goes
// first: whoever comes second finds what the first left to be done. It returns
// the ratios and the medians of both.
func alternate(rounds int, baseline, subject func() (time.Duration, error)) (ratios []float64, base, subj time.Duration, err error) {
	var bases, subjs []time.Duration
	for round := range rounds + 1 {
		var b, s time.Duration
		var berr, serr error
		if round%2 == 0 {
			b, berr = baseline()
			s, serr = subject()
		} else {
			s, serr = subject()
			b, berr = baseline()
		}
		switch {
		case berr != nil:
			return nil, 0, 0, fmt.Errorf("baseline: %w", berr)
		case serr != nil:
			return nil, 0, 0, serr
		case round == 0:
			continue
		}
		bases, subjs = append(bases, b), append(subjs, s)
		ratios = append(ratios, float64(s)/float64(b))
	}
	return ratios, median(bases), median(subjs), nil
}
