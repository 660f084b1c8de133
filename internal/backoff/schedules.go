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
)
