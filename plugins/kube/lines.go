package kube

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"time"
)

// A log of the API server, asked for with timestamps, is lines of the job's
// output, each after its time and a blank. The kubelet stamps a line once,
// where it begins, also one that the runtime recorded in pieces of 16 KiB. A
// last line without a newline ends without one.

const (
	lineBuffer = 64 << 10
	// stampBytes is more than any time takes.
	stampBytes = 64
	// foreignBytes is how much of what the kubelet says is passed on.
	foreignBytes = 300
)

// piece is as much of a line as has arrived.
type piece struct {
	at     int64 // time of its line, Unix nanoseconds; unstamped where there is none
	begins bool  // of its line
	data   []byte
}

// unstamped is the time of a line whose beginning was left out, because it is
// older than what was asked for.
const unstamped = -1

// lines reads pieces of lines.
type lines struct {
	in    *bufio.Reader
	first bool  // nothing was read yet
	at    int64 // of the line in progress
	open  bool  // a line is in progress
}

func newLines(in io.Reader) *lines {
	return &lines{in: bufio.NewReaderSize(in, lineBuffer), first: true}
}

// ready reports whether the next piece has arrived already.
func (l *lines) ready() bool {
	if l.open {
		return l.in.Buffered() > 0
	}
	if l.in.Buffered() == 0 {
		return false
	}
	head, _ := l.in.Peek(min(l.in.Buffered(), stampBytes))
	i := bytes.IndexByte(head, ' ')
	return i >= 0 && l.in.Buffered() > i+1
}

// foreign is a line that is none of the job's: what the kubelet says of a log
// that it cannot read.
type foreign struct{ text string }

func (f *foreign) Error() string { return "the kubelet says: " + f.text }

// next gives the next piece; its data is good until the next call.
func (l *lines) next() (piece, error) {
	p := piece{at: l.at}
	if !l.open {
		at, err := l.stamp()
		if err != nil {
			return piece{}, err
		}
		l.at, l.open = at, true
		p.at, p.begins = at, true
	}
	if _, err := l.in.Peek(1); err != nil {
		if p.begins && errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF // a time, and no line
		}
		return piece{}, err
	}
	data, _ := l.in.Peek(l.in.Buffered())
	if i := bytes.IndexByte(data, '\n'); i >= 0 {
		data, l.open = data[:i+1], false
	}
	_, _ = l.in.Discard(len(data)) // it is in the buffer
	p.data = data
	return p, nil
}

// stamp reads the time that a line begins with.
func (l *lines) stamp() (int64, error) {
	first := l.first
	l.first = false
	head, err := l.in.Peek(1)
	for err == nil && len(head) < stampBytes && bytes.IndexByte(head, ' ') < 0 && bytes.IndexByte(head, '\n') < 0 {
		head, err = l.in.Peek(len(head) + 1)
	}
	if len(head) == 0 {
		return 0, err
	}
	if i := bytes.IndexByte(head, ' '); i > 0 {
		if at, parseErr := time.Parse(time.RFC3339Nano, string(head[:i])); parseErr == nil {
			_, _ = l.in.Discard(i + 1)
			return at.UnixNano(), nil
		}
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return 0, err
	}
	if errors.Is(err, io.EOF) && couldBeTime(head) {
		return 0, io.ErrUnexpectedEOF // cut within a time
	}
	if first && !kubeletSays(head) {
		return unstamped, nil
	}
	text, _ := io.ReadAll(io.LimitReader(l.in, foreignBytes)) // its end, or enough of it
	line, _, _ := bytes.Cut(text, []byte("\n"))
	return 0, &foreign{string(line)}
}

func couldBeTime(head []byte) bool {
	return len(head) < len("2006-01-02T15:04:05.000000000+00:00") && head[0] >= '0' && head[0] <= '9'
}

// kubeletSays recognizes how the kubelet begins what it writes into a log that
// it cannot read (pkg/kubelet/kuberuntime/kuberuntime_container.go).
func kubeletSays(head []byte) bool {
	for _, words := range []string{"unable to retrieve container logs", "failed to ", "rpc error", "Unable to find container"} {
		if n := min(len(words), len(head)); n > 0 && string(head[:n]) == words[:n] {
			return true
		}
	}
	return false
}
