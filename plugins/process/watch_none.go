//go:build linux || darwin

package process

import "time"

// pollTick is how often waiters look where nothing notifies them.
const pollTick = 20 * time.Millisecond

// noNotifier leaves everything to the watcher's tick.
type noNotifier struct{}

func (noNotifier) add(*subscription, string, watchKind) {}
func (noNotifier) remove(*subscription)                 {}
func (noNotifier) close()                               {}
