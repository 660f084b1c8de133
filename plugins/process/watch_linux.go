package process

import (
	"bytes"
	"encoding/binary"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/atom-router/atom-router/plugins/process/internal/state"
)

// inotify is the notifier of Linux: one instance for the whole engine, one
// watch for each directory or log that somebody waits on.
type inotify struct {
	file *os.File
	fd   int // file's; Fd() would make it blocking

	mu    sync.Mutex
	subs  map[int32]map[*subscription]struct{} // by watch descriptor
	paths map[*subscription][]int32
	// later are the second looks after a lock was let go.
	later  map[*time.Timer]struct{}
	closed bool
	done   sync.WaitGroup
}

// newNotifier returns inotify, or where the user has too many instances of it,
// nothing.
func newNotifier() notifier {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return noNotifier{}
	}
	n := &inotify{
		file:  os.NewFile(uintptr(fd), "inotify"),
		fd:    fd,
		subs:  make(map[int32]map[*subscription]struct{}),
		paths: make(map[*subscription][]int32),
		later: make(map[*time.Timer]struct{}),
	}
	n.done.Add(1)
	go n.run() // owned by n; ended by close
	return n
}

func (n *inotify) add(sub *subscription, path string, kind watchKind) bool {
	mask := uint32(unix.IN_CREATE | unix.IN_MOVED_TO | unix.IN_CLOSE_WRITE | unix.IN_MOVE_SELF | unix.IN_DELETE_SELF | unix.IN_ONLYDIR)
	if kind == watchLog {
		mask = unix.IN_MODIFY
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return false
	}
	wd, err := unix.InotifyAddWatch(n.fd, path, mask)
	if err != nil {
		return false
	}
	id := int32(wd)
	if n.subs[id] == nil {
		n.subs[id] = make(map[*subscription]struct{}, 1)
	}
	n.subs[id][sub] = struct{}{}
	n.paths[sub] = append(n.paths[sub], id)
	return true
}

func (n *inotify) remove(sub *subscription) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, id := range n.paths[sub] {
		delete(n.subs[id], sub)
		if len(n.subs[id]) == 0 {
			delete(n.subs, id)
			if !n.closed {
				// It fails where the file has gone, and the watch with it.
				_, _ = unix.InotifyRmWatch(n.fd, uint32(id))
			}
		}
	}
	delete(n.paths, sub)
}

func (n *inotify) close() {
	n.mu.Lock()
	n.closed = true
	for timer := range n.later {
		timer.Stop()
	}
	n.file.Close()
	n.mu.Unlock()
	n.done.Wait()
}

func (n *inotify) run() {
	defer n.done.Done()
	buf := make([]byte, 64<<10)
	for {
		length, err := n.file.Read(buf)
		if err != nil {
			return // closed
		}
		for b := buf[:length]; len(b) >= unix.SizeofInotifyEvent; {
			id := int32(binary.NativeEndian.Uint32(b))
			mask := binary.NativeEndian.Uint32(b[4:])
			nameBytes := binary.NativeEndian.Uint32(b[12:])
			name := b[unix.SizeofInotifyEvent : unix.SizeofInotifyEvent+nameBytes]
			b = b[unix.SizeofInotifyEvent+nameBytes:]
			n.event(id, mask, string(bytes.TrimRight(name, "\x00")))
		}
	}
}

func (n *inotify) event(id int32, mask uint32, name string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case mask&unix.IN_Q_OVERFLOW != 0:
		for sub := range n.paths {
			sub.wake()
		}
	case name == state.LockFile && mask&unix.IN_CLOSE_WRITE != 0:
		// Only a shim has the lock open for writing, so it is gone. The
		// kernel tells it just before it frees the lock.
		n.wake(id)
		n.wakeAfter(id, time.Millisecond)
		n.wakeAfter(id, 20*time.Millisecond)
		n.wakeAfter(id, 200*time.Millisecond)
	case name == "" || name == state.ExitFile || name == state.StartedFile:
		n.wake(id)
	}
}

func (n *inotify) wake(id int32) {
	for sub := range n.subs[id] {
		sub.wake()
	}
}

func (n *inotify) wakeAfter(id int32, d time.Duration) {
	var timer *time.Timer
	timer = time.AfterFunc(d, func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		delete(n.later, timer)
		n.wake(id)
	})
	n.later[timer] = struct{}{}
}
