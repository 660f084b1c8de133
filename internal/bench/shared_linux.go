package main

import (
	"os"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// mailbox is how two processes can talk through memory that they share: each
// has a word that it counts up when it has left a message for the other.
type mailbox struct {
	mine, theirs *doorbell
	out, in      []byte
	// patience is how long to look for a message before the kernel is asked to
	// wake us.
	patience time.Duration
}

// doorbell is a word that one process rings and the other waits at.
type doorbell struct {
	rung   atomic.Uint32
	asleep atomic.Uint32 // whether the other one has to be woken
}

const (
	mailboxBytes = 4096
	pingBytes    = 30
	// Of futex(2); package unix does not name them.
	futexWait, futexWake = 0, 1
)

// openMailbox maps the file, of mailboxBytes, that both processes have. One is
// the server.
func openMailbox(f *os.File, server bool, patience time.Duration) (*mailbox, error) {
	mem, err := unix.Mmap(int(f.Fd()), 0, mailboxBytes, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, err
	}
	at := func(offset int) *doorbell { return (*doorbell)(unsafe.Pointer(&mem[offset])) }
	m := &mailbox{mine: at(0), theirs: at(512), out: mem[1024 : 1024+pingBytes], in: mem[2048 : 2048+pingBytes], patience: patience}
	if server {
		m.mine, m.theirs, m.out, m.in = m.theirs, m.mine, m.in, m.out
	}
	return m, nil
}

// send leaves a message; the one before it has been answered.
func (m *mailbox) send(message []byte) {
	copy(m.out, message)
	m.mine.rung.Add(1)
	if m.mine.asleep.Load() == 1 {
		futex(&m.mine.rung, futexWake, 1)
	}
}

// receive waits for the message after the seen ones.
func (m *mailbox) receive(message []byte, seen uint32) {
	bell := m.theirs
	for start := time.Now(); bell.rung.Load() == seen && time.Since(start) < m.patience; {
	}
	for bell.rung.Load() == seen {
		bell.asleep.Store(1)
		futex(&bell.rung, futexWait, seen) // returns at once where it was rung since
		bell.asleep.Store(0)
	}
	copy(message, m.in)
}

// futex is futex(2), between processes.
func futex(word *atomic.Uint32, op int, value uint32) {
	unix.Syscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(word)), uintptr(op), uintptr(value), 0, 0, 0)
}
