//go:build linux || darwin

package shim

import (
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/atom-router/atom-router/plugins/process/internal/state"
)

// recorder writes the job's output to the log, in the order in which it is
// read. Its memory does not grow with the output: a job that writes faster
// than the disk takes it is held up by its pipe.
type recorder struct {
	mu     sync.Mutex
	file   *os.File
	offset int64
	last   int64 // time of the last record
	err    error

	pipes   []*os.File
	readers sync.WaitGroup
}

func newRecorder(path string) (*recorder, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	return &recorder{file: f}, nil
}

// follow begins to read the pipes.
func (r *recorder) follow(stdout, stderr *os.File) {
	r.pipes = []*os.File{stdout, stderr}
	r.readers.Add(2)
	go r.read(stdout, state.Stdout) // owned by r, as the next; ended by drain
	go r.read(stderr, state.Stderr)
}

// read records one pipe to its end. All that is in the pipe goes into one
// record, so that a job's flood costs few writes, and its single line none of
// the time that waiting for more would.
func (r *recorder) read(pipe *os.File, stream string) {
	defer r.readers.Done()
	conn, err := pipe.SyscallConn()
	if err != nil {
		return
	}
	buf := make([]byte, state.MaxRecord)
	for {
		length, ended := 0, false
		err := conn.Read(func(fd uintptr) bool {
			for length < state.MaxData {
				n, err := syscall.Read(int(fd), buf[state.HeaderBytes+length:state.HeaderBytes+state.MaxData])
				switch {
				case err == syscall.EINTR:
				case err == syscall.EAGAIN:
					return length > 0 // nothing yet: wait for the pipe
				case err != nil || n <= 0:
					ended = true
					return true
				default:
					length += n
				}
			}
			return true
		})
		if length > 0 {
			r.write(buf, stream, length)
		}
		if err != nil || ended {
			return // the end, or drain's deadline
		}
	}
}

// write appends one record. After an error nothing more is recorded, and the
// job goes on: its log then ends with that error.
func (r *recorder) write(buf []byte, stream string, length int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		return
	}
	r.last = max(r.last, time.Now().UnixNano())
	record := state.PutRecord(buf, r.offset, state.Header{Stream: stream, Time: r.last, Length: length})
	if _, err := r.file.WriteAt(record, r.offset); err != nil {
		r.err = err
		_ = r.file.Truncate(r.offset)
		return
	}
	r.offset += int64(len(record))
}

// drain waits for the end of both pipes, for so long at most.
func (r *recorder) drain(bound time.Duration) {
	for _, p := range r.pipes {
		_ = p.SetReadDeadline(time.Now().Add(bound))
	}
	r.readers.Wait()
	for _, p := range r.pipes {
		p.Close()
	}
}

// close returns how long the log is, the time of its last record, and why it
// is not whole where it is not.
func (r *recorder) close() (size, last int64, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.file.Close(); r.err == nil {
		r.err = err
	}
	return r.offset, r.last, r.err
}
