//go:build linux || darwin

package process

import (
	"errors"
	"io"
	"os"

	"github.com/containerd/errdefs"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/plugins/process/internal/state"
)

// window is the piece of a log that was read last.
type window struct {
	file *os.File
	buf  []byte
	at   int64 // where buf begins
	size int   // how much to read next: small for a quiet job, up to logWindow
}

// recordAt returns the record at offset; false where it is not yet there
// whole. Its data holds until the next call. What stands there and is no
// record is DataLoss.
func (w *window) recordAt(offset int64) (state.Header, []byte, bool, error) {
	b, err := w.bytes(offset, state.HeaderBytes)
	if err != nil || len(b) < state.HeaderBytes {
		return state.Header{}, nil, false, err
	}
	h, ok := state.ParseHeader(b, offset)
	if !ok {
		// It may have been read while it was being written.
		w.buf = w.buf[:0]
		if b, err = w.bytes(offset, state.HeaderBytes); err != nil || len(b) < state.HeaderBytes {
			return state.Header{}, nil, false, err
		}
		if h, ok = state.ParseHeader(b, offset); !ok {
			return state.Header{}, nil, false, damaged(offset)
		}
	}
	b, err = w.bytes(offset, int(h.Size()))
	if err != nil || int64(len(b)) < h.Size() {
		return state.Header{}, nil, false, err
	}
	return h, b[state.HeaderBytes : state.HeaderBytes+h.Length], true, nil
}

// ahead is how much of the window lies at offset and after.
func (w *window) ahead(offset int64) int { return int(w.at + int64(len(w.buf)) - offset) }

// bytes returns want bytes at offset, or what there is of them.
func (w *window) bytes(offset int64, want int) ([]byte, error) {
	if offset < w.at || offset+int64(want) > w.at+int64(len(w.buf)) {
		w.size = max(w.size, minWindow)
		if err := w.load(offset, max(w.size, want)); err != nil {
			return nil, err
		}
		if len(w.buf) >= w.size {
			w.size = min(2*w.size, logWindow)
		}
	}
	b := w.buf[offset-w.at:]
	return b[:min(want, len(b))], nil
}

// load fills the window from offset.
func (w *window) load(offset int64, size int) error {
	if cap(w.buf) < size {
		w.buf = make([]byte, 0, size)
	}
	n, err := w.file.ReadAt(w.buf[:size], offset)
	if err != nil && !errors.Is(err, io.EOF) {
		w.buf, w.at = w.buf[:0], offset
		return failure("reading the log", err)
	}
	w.buf, w.at = w.buf[:n], offset
	return nil
}

func damaged(offset int64) error {
	return atom.Errorf(errdefs.ErrDataLoss, "the log is damaged at byte %d", offset)
}
