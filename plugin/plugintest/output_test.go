package plugintest

import (
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// All that a process wrote is there when it has ended, where the copying never
// had its turn before, and while a child of the process holds the pipe.
func TestOutputOfAnEndedProcess(t *testing.T) {
	var o output
	var write *os.File
	var err error
	if o.pipe, write, err = os.Pipe(); err != nil {
		t.Fatal(err)
	}
	o.copied = make(chan struct{})
	close(o.copied)
	cmd := exec.Command("sh", "-c", "printf %060000d 1 >&2; sleep 1000 >/dev/null & echo $!")
	cmd.Stderr = write
	child, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(child)))
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Kill(pid, syscall.SIGKILL)
	write.Close()
	o.end()
	if got := len(o.String()); got != 60000 {
		t.Errorf("%d bytes of 60000", got)
	}
}
