package process

import "time"

func newNotifier() (notifier, time.Duration) { return noNotifier{}, pollTick }
