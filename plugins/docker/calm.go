package docker

import (
	"io"
	"time"
)

// calm reads a busy stream in larger pieces. The daemon writes each line of a
// log by itself, and a reader that is woken for each takes the processor from
// the daemon. So a stream whose next piece is there at once, and small, is
// left alone for a moment; a quiet one is read as it comes. Measured with
// 128 MiB of 200-byte lines on two cores, against Docker's own client in the
// same run: 0.69 times its duration instead of 1.15, half its processor time.
type calm struct {
	r    io.Reader
	busy bool
}

const (
	// calmPause is short: the daemon's end of the socket holds some 300 lines,
	// and it should not have to wait. A millisecond is too long already.
	calmPause = 150 * time.Microsecond
	// calmSoon is how soon a piece must come for the stream to be busy.
	calmSoon = 100 * time.Microsecond
	// calmBytes is a piece that is large enough.
	calmBytes = 32 << 10
)

func (c *calm) Read(p []byte) (int, error) {
	if c.busy {
		nap(calmPause)
	}
	began := time.Now()
	n, err := c.r.Read(p)
	c.busy = err == nil && n < calmBytes && time.Since(began) < calmSoon
	return n, err
}
