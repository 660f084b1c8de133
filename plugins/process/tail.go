//go:build linux || darwin

package process

import (
	"bytes"
	"encoding/binary"
	"math"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/plugins/process/internal/state"
)

// skips says for each stream where delivery begins, when that is not with the
// first record delivered: the streams' last lines begin in different places.
type skips map[atom.Stream]position

// position is a byte of a record's data.
type position struct {
	offset int64 // of the record
	index  int
}

// rest is what is to be delivered of data, which stands in the record at
// offset.
func (s skips) rest(stream atom.Stream, offset int64, data []byte) []byte {
	begin, ok := s[stream]
	switch {
	case !ok || begin.offset < offset:
		return data
	case begin.offset > offset:
		return nil
	}
	return data[begin.index:]
}

// begin finds where the request's Tail begins. Lines are the job's: each
// stream has its own, in the order of their ends.
func (l *logSource) begin() error {
	if l.request.Tail == 0 {
		return nil
	}
	end, err := l.boundary()
	if err != nil {
		return err
	}
	l.offset = end
	if l.request.Tail == atom.TailNone {
		return nil
	}
	t := tail{left: l.request.Tail, end: end, begin: make(skips), open: make(map[atom.Stream]bool)}
	for _, stream := range []atom.Stream{atom.Stdout, atom.Stderr} {
		if l.request.Stream == "" || l.request.Stream == stream {
			t.streams = append(t.streams, stream)
		}
	}
	since := sinceOf(l.request.Since)
	for offset := end; offset > 0 && !t.done(); {
		if err := l.ctx.Err(); err != nil {
			return err
		}
		h, start, data, err := l.recordBefore(offset)
		if err != nil {
			return err
		}
		if h.Time < since {
			break // and so are all before it
		}
		offset, l.offset = start, start
		t.add(atom.Stream(h.Stream), start, data)
	}
	l.offset, l.skip = t.result(l.offset)
	return nil
}

// tail counts lines from the end.
type tail struct {
	streams []atom.Stream
	left    int
	end     int64
	begin   skips                // streams whose beginning is found
	open    map[atom.Stream]bool // streams with a line that is counted and whose beginning is not yet seen
}

// add takes the record before those taken so far.
func (t *tail) add(stream atom.Stream, offset int64, data []byte) {
	if _, found := t.begin[stream]; found || !t.wants(stream) {
		return
	}
	for i := len(data); i > 0; {
		// data[:i] is yet to be seen, and data[i-1] belongs to the line
		// that is open, or ends the one before it.
		if data[i-1] == '\n' || !t.open[stream] {
			if t.left == 0 {
				t.begin[stream] = position{offset, i}
				return
			}
			t.left--
			t.open[stream] = true
			i--
			if data[i] != '\n' {
				continue
			}
		}
		i = bytes.LastIndexByte(data[:i], '\n') + 1
	}
}

func (t *tail) wants(stream atom.Stream) bool {
	for _, s := range t.streams {
		if s == stream {
			return true
		}
	}
	return false
}

// done reports whether the beginnings of all streams are found, or cannot lie
// further back.
func (t *tail) done() bool {
	if t.left > 0 {
		return false
	}
	for _, s := range t.streams {
		if _, found := t.begin[s]; !found && t.open[s] {
			return false
		}
	}
	return true
}

// result is the first record to look at, and what of each stream to leave
// out. from is the last one that was looked at.
func (t *tail) result(from int64) (int64, skips) {
	first := int64(math.MaxInt64)
	for _, s := range t.streams {
		begin, found := t.begin[s]
		switch {
		case found:
		case t.open[s] || t.left > 0:
			begin = position{offset: from}
		default:
			// None of its lines is among the last.
			begin = position{offset: t.end}
		}
		t.begin[s] = begin
		first = min(first, begin.offset)
	}
	return first, t.begin
}

// boundary is the end of the last whole record.
func (l *logSource) boundary() (int64, error) {
	info, err := l.file.Stat()
	if err != nil {
		return 0, failure("reading the log", err)
	}
	size := info.Size()
	if size == 0 {
		return 0, nil
	}
	// At most times no record is being written.
	if h, start, _, err := l.recordBefore(size); err == nil && start+h.Size() == size {
		return size, nil
	}
	var offset int64
	for offset < size {
		h, _, ok, err := l.recordAt(offset)
		if err != nil {
			return 0, err
		}
		if !ok {
			break
		}
		offset += h.Size()
	}
	return offset, nil
}

// recordBefore returns the record that ends at offset, and where it begins.
func (w *window) recordBefore(offset int64) (state.Header, int64, []byte, error) {
	low := max(0, offset-state.MaxRecord)
	if low < w.at || offset > w.at+int64(len(w.buf)) {
		from := max(0, offset-logWindow)
		if err := w.load(from, int(offset-from)); err != nil {
			return state.Header{}, 0, nil, err
		}
	}
	b := w.buf[:max(0, min(int64(len(w.buf)), offset-w.at))]
	if len(b) >= state.HeaderBytes+state.TrailerBytes {
		length := int64(binary.LittleEndian.Uint32(b[len(b)-state.TrailerBytes:]))
		start := offset - length - state.HeaderBytes - state.TrailerBytes
		if length <= state.MaxData && start >= w.at && w.at+int64(len(b)) == offset {
			if h, ok := state.ParseHeader(b[start-w.at:], start); ok && int64(h.Length) == length {
				data := b[start-w.at+state.HeaderBytes:]
				return h, start, data[:length], nil
			}
		}
	}
	return state.Header{}, 0, nil, damaged(offset)
}
