// Package backoff says how long to leave alone what does not answer. Many ask
// the same, and what they ask has just come back when they are answered again:
// half of every pause is chance, so that they do not come in step. What a fleet
// makes of it is simulated in internal/scale.
package backoff

import "time"

// Schedule is a pause that doubles with each failure in a row.
type Schedule struct {
	First time.Duration // after the first failure, at most
	Most  time.Duration // after any, at most
}

// After is the pause after so many failures in a row, and nothing before the
// first. random returns a number from 0 up to n, as rand.Int64N does.
func (s Schedule) After(failures int, random func(n int64) int64) time.Duration {
	if failures <= 0 {
		return 0
	}
	d := s.First
	for range failures - 1 {
		if d *= 2; d >= s.Most {
			break
		}
	}
	d = min(d, s.Most)
	return d/2 + time.Duration(random(int64(d/2)+1))
}
