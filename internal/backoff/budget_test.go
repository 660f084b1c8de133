package backoff

import "testing"

func TestFailovers(t *testing.T) {
	asked := func(creates, wanted int) (further int) {
		var f Failovers
		for range creates {
			f.Earn()
			for range wanted {
				if !f.Take() {
					break
				}
				further++
			}
		}
		return further
	}
	if n := asked(10_000, failoversEach); n != 10_000*failoversEach {
		t.Errorf("%d of %d were allowed, although no Create asked for more than its share", n, 10_000*failoversEach)
	}
	if n := asked(1, 199); n != 199 {
		t.Errorf("a Create alone was allowed %d of 199", n)
	}
	if n, most := asked(10_000, 199), 10_000*failoversEach+failoverStock; n > most || n < most-failoversEach {
		t.Errorf("%d were allowed of 10,000 Creates that all wanted 199, want about %d", n, most)
	}
}
