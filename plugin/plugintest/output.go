package plugintest

import (
	"io"
	"os"
	"syscall"
	"time"
)

// output is what a process writes to a pipe. A child of it may hold the pipe for
// as long as it likes, so that its end is not waited for: end takes what is there.
type output struct {
	text
	pipe   *os.File
	copied chan struct{}
}

// open begins to read. The process is to have write, which is then to be closed
// here.
func (o *output) open() (write *os.File, err error) {
	if o.pipe, write, err = os.Pipe(); err != nil {
		return nil, err
	}
	o.copied = make(chan struct{})
	go func() { // ends with the pipe, or with end
		defer close(o.copied)
		_, _ = io.Copy(&o.text, o.pipe)
	}()
	return write, nil
}

// end is called once, when the process has ended: all that it wrote is in the
// text afterwards, however late the copying comes to it.
func (o *output) end() {
	_ = o.pipe.SetReadDeadline(time.Unix(1, 0))
	<-o.copied
	_ = o.pipe.SetReadDeadline(time.Time{})
	if raw, err := o.pipe.SyscallConn(); err == nil {
		buf := make([]byte, kept)
		_ = raw.Read(func(fd uintptr) bool {
			for range 16 { // a child may write on and on; a pipe holds no more
				n, err := syscall.Read(int(fd), buf)
				if n <= 0 && err != syscall.EINTR {
					break
				}
				_, _ = o.Write(buf[:max(n, 0)])
			}
			return true // and does not wait for more
		})
	}
	_ = o.pipe.Close()
}
