package plugin

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
)

const (
	// tailBytes is how much of a plugin's stderr its obituary repeats.
	tailBytes = 1 << 10
	// firstBytes is how much of its first line on stdout.
	firstBytes = 200
)

// pipe is the host's end of a plugin's stdout or stderr. It remembers what the
// plugin said first and last, and hands out nothing of stdout after the first
// line, which is the handshake: what comes there afterwards is drained, so
// that a plugin that prints does not block.
type pipe struct {
	file      *os.File
	firstOnly bool
	ended     chan struct{} // closed when the file has been read to its end
	end       sync.Once

	mu          sync.Mutex
	first, last []byte
	line        bool // the first line is complete
}

func newPipe(file *os.File, firstOnly bool) *pipe {
	return &pipe{file: file, firstOnly: firstOnly, ended: make(chan struct{})}
}

// Read implements io.Reader. A pipe that was closed is at its end.
func (p *pipe) Read(b []byte) (int, error) {
	for {
		n, err := p.file.Read(b)
		pass := p.note(b[:n])
		if err != nil {
			p.end.Do(func() { close(p.ended) })
			return pass, io.EOF
		}
		if pass > 0 {
			return pass, nil
		}
	}
}

// note remembers what was read and tells how much of it to hand out.
func (p *pipe) note(b []byte) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last = append(p.last, b...)
	if extra := len(p.last) - tailBytes; extra > 0 {
		p.last = append(p.last[:0], p.last[extra:]...)
	}
	pass := len(b)
	if p.line && p.firstOnly {
		return 0
	}
	if !p.line {
		end := bytes.IndexByte(b, '\n')
		p.line = end >= 0
		if end >= 0 && p.firstOnly {
			pass = end + 1
		}
		if end < 0 {
			end = len(b)
		}
		p.first = append(p.first, b[:min(end, firstBytes-len(p.first))]...)
	}
	return pass
}

func (p *pipe) firstLine() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.TrimSpace(string(p.first))
}

// lastWords is the end of what was read, for an error's message.
func (p *pipe) lastWords() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	text := strings.TrimSpace(string(p.last))
	if text == "" {
		return ""
	}
	return fmt.Sprintf(", saying: %s", strings.ToValidUTF8(text, "\uFFFD"))
}

// Close implements io.Closer and ends a blocked Read.
func (p *pipe) Close() error { return p.file.Close() }

// endWithin waits for the pipe's end and closes it where that does not come.
func (p *pipe) endWithin(d time.Duration) {
	select {
	case <-p.ended:
	case <-time.After(d):
	}
	p.file.Close()
}
