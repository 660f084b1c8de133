package steps

import (
	"errors"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"syscall"
	"time"
)

// noticeTime is how long backends get before and after an out-of-memory kill
// to notice it: Docker begins to watch for one only after the container's
// start, and is told of it by an event that otherwise races with the
// container's end. Both were seen to lose with 20.10 on a busy machine.
const noticeTime = time.Second

// allocateInChild lets a child allocate, which the system kills in this
// process's place, being the larger.
func allocateInChild(mib string) (code int, err error) {
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	time.Sleep(noticeTime)
	err = exec.Command(self, "hold", mib).Run()
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return goOn, err
	}
	time.Sleep(noticeTime)
	return 128 + int(syscall.SIGKILL), nil
}

// allocate takes memory and touches each page, so that it is resident.
func allocate(mib string) error {
	n, err := strconv.Atoi(mib)
	if err != nil {
		return err
	}
	held := make([][]byte, 0, n)
	for range n {
		b := make([]byte, 1<<20)
		for i := 0; i < len(b); i += 4096 {
			b[i] = byte(n)
		}
		held = append(held, b)
	}
	runtime.KeepAlive(held)
	return nil
}

// spawn starts a grandchild that outlives this process and holds its output,
// as descriptors 3 and 4: a process that starts while the first one of its
// container ends gets no threads any more, of which Go's runtime complains on
// descriptor 2.
func spawn(duration string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	c := exec.Command(self, "sleep", duration)
	c.ExtraFiles = []*os.File{os.Stdout, os.Stderr}
	return c.Start()
}
