package docker

import (
	"syscall"
	"time"
)

// nap sleeps less than a millisecond, which time.Sleep cannot where nothing
// else runs: the runtime waits for timers with epoll, in milliseconds.
func nap(d time.Duration) {
	t := syscall.NsecToTimespec(d.Nanoseconds())
	// A signal that cuts it short does no harm.
	_ = syscall.Nanosleep(&t, nil)
}
