package main

import (
	"fmt"
	"time"
)

// race is what a baseline and a subject took, one of each a round.
type race struct{ baseline, subject []time.Duration }

// alternate has both run in each round, after one round that warms both up and
// is not counted. Every other round the subject goes first: whoever comes
// second finds what the first left to be done.
func alternate(rounds int, baseline, subject func() (time.Duration, error)) (race, error) {
	var r race
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
			return race{}, fmt.Errorf("baseline: %w", berr)
		case serr != nil:
			return race{}, serr
		case round == 0:
			continue
		}
		r.baseline, r.subject = append(r.baseline, b), append(r.subject, s)
	}
	return r, nil
}

// interleave times calls that take microseconds. The sides take turns in small
// blocks, so that all of them see the same machine, in another order each time.
// It returns for each side what a call took in each round, at the median.
func interleave(rounds int, sides ...func() error) ([][]time.Duration, error) {
	const blocks, calls = 60, 50
	medians := make([][]time.Duration, len(sides))
	for round := range rounds + 1 { // the first warms up
		times := make([][]time.Duration, len(sides))
		for block := range blocks {
			for turn := range sides {
				side := (block + turn) % len(sides)
				if block%2 == 1 {
					side = len(sides) - 1 - side
				}
				for range calls {
					start := time.Now()
					if err := sides[side](); err != nil {
						return nil, err
					}
					times[side] = append(times[side], time.Since(start))
				}
			}
		}
		for side := range sides {
			if round > 0 {
				medians[side] = append(medians[side], median(times[side]))
			}
		}
	}
	return medians, nil
}

// ratios are subject / baseline, one a round.
func (r race) ratios() []float64 {
	ratios := make([]float64, len(r.subject))
	for n := range ratios {
		ratios[n] = float64(r.subject[n]) / float64(r.baseline[n])
	}
	return ratios
}

// speeds are how fast the subject was where the baseline is 1.
func (r race) speeds() []float64 {
	speeds := r.ratios()
	for n := range speeds {
		speeds[n] = 1 / speeds[n]
	}
	return speeds
}

// times are what the subject took, in units of one.
func (r race) times(one time.Duration) []float64 {
	times := make([]float64, len(r.subject))
	for n, t := range r.subject {
		times[n] = float64(t) / float64(one)
	}
	return times
}

// against are both medians as text.
func (r race) against() string {
	return fmt.Sprintf("%s against %s", brief(median(r.subject)), brief(median(r.baseline)))
}

// brief is a duration in three digits or so.
func brief(d time.Duration) string {
	unit := time.Nanosecond
	for unit*1000 <= d {
		unit *= 10
	}
	return d.Round(unit).String()
}
