package docker

import (
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
)

func frame(stream byte, text string) string {
	head := []byte{stream, 0, 0, 0}
	return string(binary.BigEndian.AppendUint32(head, uint32(len(text)))) + text
}

// The local driver of 20.10 loses the newline of every line of 16 KiB or
// more.
func TestFramesMendLongLines(t *testing.T) {
	piece := strings.Repeat("x", pieceBytes)
	for name, test := range map[string]struct{ in, want string }{
		"short lines":          {frame(1, "a\n") + frame(1, "b\n") + frame(1, "c"), "a\nb\nc"},
		"a long one":           {frame(1, piece) + frame(1, "end") + frame(1, "b\n"), piece + "end\nb\n"},
		"longer":               {frame(1, piece) + frame(1, piece) + frame(1, "end") + frame(1, "b"), piece + piece + "end\nb"},
		"exactly a piece":      {frame(1, piece) + frame(1, "") + frame(1, "b\n"), piece + "\nb\n"},
		"two long ones":        {frame(1, piece) + frame(1, "e") + frame(1, piece) + frame(1, "f") + frame(1, "\n"), piece + "e\n" + piece + "f\n\n"},
		"newline not lost":     {frame(1, piece) + frame(1, "end\n") + frame(1, "b\n"), piece + "end\nb\n"},
		"the end is not known": {frame(1, piece) + frame(1, "end"), piece + "end"},
		"a line of two writes": {frame(1, "he") + frame(1, "llo\n"), "hello\n"}, // by two daemons, one after the other
		"streams apart":        {frame(1, piece) + frame(2, "e\n") + frame(1, "end") + frame(2, "f\n") + frame(1, "b\n"), piece + "e\nend" + "f\n" + "\nb\n"},
	} {
		f := newFrames(strings.NewReader(test.in), false)
		var got strings.Builder
		for {
			r, err := f.next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			got.Write(r.data)
		}
		if got.String() != test.want {
			t.Errorf("%s: got %d bytes, want %d", name, got.Len(), len(test.want))
		}
	}
}

func TestFramesBroken(t *testing.T) {
	whole := frame(1, "2026-03-01T12:00:00.5Z text\n")
	for n := 1; n < len(whole); n++ {
		if _, err := newFrames(strings.NewReader(whole[:n]), true).next(); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatalf("cut at %d: %v", n, err)
		}
	}
	for _, bad := range []string{frame(9, "x"), "HTTP/1.1 200 OK", frame(1, "no time at all here, whatever it looks"), frame(1, "2026-13-01T12:00:00Z x")} {
		if _, err := newFrames(strings.NewReader(bad), true).next(); !errdefs.IsDataLoss(err) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestClock(t *testing.T) {
	var c clock
	for _, stamp := range []string{
		"2026-03-01T12:00:00.123456789Z", "2026-03-01T12:00:00.5Z", "2026-03-01T12:00:00Z",
		"2026-03-01T12:00:00.000000001+05:30", "2026-03-01T12:00:00.9-11:00", "1969-12-31T23:59:59.25Z",
	} {
		want, err := time.Parse(time.RFC3339Nano, stamp)
		if err != nil {
			t.Fatal(err)
		}
		got, text, err := c.cut([]byte(stamp + " some text"))
		if err != nil || got != want.UnixNano() || string(text) != "some text" {
			t.Errorf("%s: got %d, %q, %v, want %d", stamp, got, text, err, want.UnixNano())
		}
	}
}
