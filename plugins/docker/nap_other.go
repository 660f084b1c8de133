//go:build !linux

package docker

import "time"

func nap(d time.Duration) { time.Sleep(d) }
