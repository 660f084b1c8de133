//go:build linux || darwin

package process

import (
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	RunShim()
	goleak.VerifyTestMain(m)
}
