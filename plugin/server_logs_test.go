package plugin

import (
	"bytes"
	"io"
	"testing"

	"github.com/atom-router/atom-router/atom"
)

// A reader who does not read costs logWindow of memory, whatever the sizes of
// the chunks.
func TestLogWindowHolds(t *testing.T) {
	for _, merge := range []bool{true, false} {
		for _, size := range []int{1, 200, 9 << 10, 32 << 10, 33 << 10, 64 << 10, 1 << 20} {
			q := newLogQueue(merge)
			streams := [2]atom.Stream{atom.Stdout, atom.Stderr}
			for i := 0; q.held < logWindow; i++ {
				q.put(atom.LogChunk{Stream: streams[i%2], Data: bytes.Repeat([]byte("x"), size)})
			}
			data, memory := 0, 0
			for _, c := range q.chunks {
				data += len(c.Data)
				memory += cap(c.Data)
			}
			if memory > logWindow+2*max(size, logMessage) || data != q.bytes {
				t.Errorf("chunks of %d, merged %v: %d bytes in %d of memory; %d are known of", size, merge, data, memory, q.bytes)
			}
			for len(q.chunks) > 0 {
				chunks, err := q.take()
				if len(chunks) == 0 || err != nil {
					t.Fatal(err)
				}
				recycle(chunks)
			}
			if q.bytes != 0 || q.held != 0 {
				t.Errorf("chunks of %d, merged %v: %d bytes and %d of memory are left of nothing", size, merge, q.bytes, q.held)
			}
		}
	}
}

// Nothing is waited for at the end of a log.
func TestLogEndIsNotDelayed(t *testing.T) {
	q := newLogQueue(true)
	if !q.fills() {
		t.Error("an empty message does not fill")
	}
	q.fill(func() (atom.LogChunk, error) { return atom.LogChunk{}, io.EOF })
	if q.fills() {
		t.Error("a message fills after the end")
	}
}
