package main

import (
	"fmt"
	"slices"
	"time"
)

// figure is one result: a value for each round, and what was aimed at.
type figure struct {
	slug   string    // tells it from others of its measurement, as in Get/ratio
	name   string    // what was measured, against what; "" for a point that is only plotted
	values []float64 // one a round
	unit   string    // "x" for ratios, else as in benchfmt: "ms", "KiB", "allocs"
	aim    float64   // 0 for none
	atMost bool      // the aim is an upper bound
	detail string    // what the two sides took, and with what
	sides  race      // of a ratio, where it was taken by alternate
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

// verdict is "met", "missed", or nothing where nothing was aimed at.
func (f figure) verdict() string {
	switch {
	case f.aim == 0:
		return ""
	case f.met():
		return "met"
	}
	return "**missed**"
}

// bound is the aim as text.
func (f figure) bound() string {
	switch {
	case f.aim == 0:
		return "–"
	case f.atMost:
		return "at most " + f.with(fmt.Sprint(f.aim))
	}
	return "at least " + f.with(fmt.Sprint(f.aim))
}

// spread are the lowest and the highest value.
func (f figure) spread() string {
	if len(f.values) == 1 {
		return "–"
	}
	return bare(slices.Min(f.values)) + "–" + bare(slices.Max(f.values))
}

// number is a value with the figure's unit.
func (f figure) number(v float64) string { return f.with(bare(v)) }

func (f figure) with(number string) string {
	switch f.unit {
	case "":
		return number
	case "x":
		return number + "x"
	}
	return number + " " + f.unit
}

// bare is a number with the digits that matter.
func bare(v float64) string {
	switch a := max(v, -v); {
	case a == 0 || a >= 100:
		return fmt.Sprintf("%.0f", v)
	case a >= 10:
		return fmt.Sprintf("%.1f", v)
	case a < 0.1:
		return fmt.Sprintf("%.4f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

func (f figure) String() string {
	aim := ""
	if f.aim != 0 {
		aim = "; aim: " + f.bound() + ", " + f.verdict()
	}
	return fmt.Sprintf("%-48s %10s  (%s in %d rounds%s)  %s",
		f.name, f.number(median(f.values)), f.spread(), len(f.values), aim, f.detail)
}

// median of an even number of values is between the two in the middle.
func median[T float64 | time.Duration](values []T) T {
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
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
