//go:build linux || darwin

package state

import (
	"fmt"
	"time"
)

// Command is what an engine asks of a shim, one line in its FIFO.
type Command struct {
	// ID keeps a command from reaching another incarnation that took the
	// directory's name meanwhile.
	ID    string
	Kill  bool          // SIGKILL now
	Grace time.Duration // or SIGTERM now and SIGKILL after it; whole seconds
}

func (c Command) Line() []byte {
	verb := "stop"
	if c.Kill {
		verb = "kill"
	}
	return fmt.Appendf(nil, "%s %s %d\n", verb, c.ID, int64(c.Grace/time.Second))
}

func ParseCommand(line string) (Command, bool) {
	var verb string
	var c Command
	var seconds int64
	if _, err := fmt.Sscanf(line, "%s %s %d", &verb, &c.ID, &seconds); err != nil {
		return c, false
	}
	c.Kill, c.Grace = verb == "kill", time.Duration(seconds)*time.Second
	return c, verb == "kill" || verb == "stop"
}
