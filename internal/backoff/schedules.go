package backoff

import "time"

// Who pauses how. They stand here together because what reaches an API server
// after an outage follows from all of them.
var (
	// Launch is between two launches of a plugin that does not get ready, or
	// not for long.
	Launch = Schedule{First: 500 * time.Millisecond, Most: time.Minute}
	// Redial is between two attempts to reach a daemon. They cost little.
	Redial = Schedule{First: 500 * time.Millisecond, Most: time.Second}
	// Away is of a Wait, or a follow, that was taken up by a new plugin behind
	// which nothing answers. There are thousands of them in a router.
	Away = Schedule{First: time.Second, Most: 8 * time.Second}
	// Probe is how long a backend that did not answer is left alone by Creates
	// that can go elsewhere.
	Probe = Schedule{First: time.Second, Most: 15 * time.Second}
	// Watch is of a plugin that lost its watch, or cannot list: one for each
	// router and backend.
	Watch = Schedule{First: 200 * time.Millisecond, Most: 5 * time.Second}
)
