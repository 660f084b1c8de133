package watch

import "time"

// Pace says when to look again. The zero Pace is at the start.
type Pace struct{ wait time.Duration }

const (
	soonest = time.Second
	latest  = 5 * time.Second
)

// Next is how long to wait after a look that took so long: a second where
// something changes, longer while nothing does, and never shorter than the look
// took, so that a slow backend is not asked all the time.
func (p *Pace) Next(changed bool, took time.Duration) time.Duration {
	if changed || p.wait == 0 {
		p.wait = soonest
	} else {
		p.wait = min(p.wait*3/2, latest)
	}
	return max(p.wait, took)
}
