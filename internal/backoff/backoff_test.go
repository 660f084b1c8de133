package backoff

import (
	"math/rand/v2"
	"testing"
	"time"
)

func TestAfter(t *testing.T) {
	s := Schedule{First: time.Second, Most: 5 * time.Second}
	for failures, most := range []time.Duration{0, time.Second, 2 * time.Second, 4 * time.Second, 5 * time.Second, 5 * time.Second} {
		least, longest := time.Hour, time.Duration(0)
		for range 1000 {
			d := s.After(failures, rand.Int64N)
			least, longest = min(least, d), max(longest, d)
		}
		if least < most/2 || longest > most || most > 0 && longest-least < most/3 {
			t.Errorf("after %d failures %v to %v, want them spread over %v to %v", failures, least, longest, most/2, most)
		}
	}
	if d := s.After(1_000_000, rand.Int64N); d > s.Most {
		t.Errorf("after a million failures %v", d)
	}
}
