package steps

import (
	"bytes"
	"strconv"
)

// Kind says what known output is made of.
type Kind string

const (
	// Lines is printable ASCII in lines of 0 to 200 bytes, one in a hundred
	// of them longer than 16 KiB; the last line is cut where the size ends.
	Lines Kind = "lines"
	// Binary is every byte value: NUL, invalid UTF-8, CR and newlines too.
	Binary Kind = "binary"
	// Text is printable ASCII without a newline.
	Text Kind = "text"
)

// Known returns size bytes that kind and seed determine: what the probe's
// `pour` writes, and what its reader compares with.
func Known(kind Kind, seed uint64, size int) []byte {
	out := make([]byte, 0, size+32<<10)
	r := source(seed)
	switch kind {
	case Binary:
		for len(out) < size {
			word := r.next()
			for range 8 {
				out = append(out, byte(word))
				word >>= 8
			}
		}
	case Text:
		for len(out) < size {
			out = append(out, printable(&r))
		}
	default:
		for len(out) < size {
			length := int(r.next() % 200)
			if r.next()%100 == 0 {
				length += 20 << 10
			}
			// A line that says where it stands makes a difference
			// readable.
			out = strconv.AppendInt(out, int64(len(out)), 10)
			out = append(out, ' ')
			for range length {
				out = append(out, printable(&r))
			}
			out = append(out, '\n')
		}
	}
	return bytes.Clone(out[:size])
}

func printable(r *source) byte { return ' ' + byte(r.next()%95) }

// source is splitmix64: the same everywhere and in every release, which
// math/rand does not promise.
type source uint64

func (s *source) next() uint64 {
	*s += 0x9e3779b97f4a7c15
	z := uint64(*s)
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}
