//go:build linux || darwin

package state

import (
	"encoding/binary"
	"hash/crc32"
	"time"
)

// The log is a sequence of records, each what one read of one of the job's
// pipes gave:
//
//	magic     1 byte
//	stream    1 byte, 1 or 2
//	zero      2 bytes
//	length    4 bytes, of data
//	time      8 bytes, Unix nanoseconds, never less than the record's before
//	check     4 bytes, CRC-32 of the 16 bytes above and the record's offset
//	data
//	length    4 bytes, once more, so that the log can be read backwards
//
// All numbers are little endian. The offset in the check keeps a job that
// prints another job's log from looking like a record of its own.
const (
	recordMagic  = 0xA7
	HeaderBytes  = 20
	TrailerBytes = 4
	MaxData      = 64 << 10
	MaxRecord    = HeaderBytes + MaxData + TrailerBytes
)

// The streams of a job, by the names that package atom has for them.
const (
	Stdout = "stdout"
	Stderr = "stderr"
)

// Header is what stands before a record's data.
type Header struct {
	Stream string // Stdout or Stderr
	Time   int64  // Unix nanoseconds
	Length int    // of the data
}

// Size is that of the whole record.
func (h Header) Size() int64 { return int64(HeaderBytes + h.Length + TrailerBytes) }

func (h Header) At() time.Time { return time.Unix(0, h.Time).UTC() }

// PutRecord completes a record in buf, whose data already stands at
// HeaderBytes, and returns it.
func PutRecord(buf []byte, offset int64, h Header) []byte {
	buf[0] = recordMagic
	buf[1] = 1
	if h.Stream == Stderr {
		buf[1] = 2
	}
	buf[2], buf[3] = 0, 0
	binary.LittleEndian.PutUint32(buf[4:], uint32(h.Length))
	binary.LittleEndian.PutUint64(buf[8:], uint64(h.Time))
	binary.LittleEndian.PutUint32(buf[16:], recordSum(buf, offset))
	binary.LittleEndian.PutUint32(buf[HeaderBytes+h.Length:], uint32(h.Length))
	return buf[:h.Size()]
}

// ParseHeader reads the header at the beginning of b, which lies at offset in
// the log; false where there is none. b holds at least HeaderBytes.
func ParseHeader(b []byte, offset int64) (Header, bool) {
	if b[0] != recordMagic || binary.LittleEndian.Uint32(b[16:]) != recordSum(b, offset) {
		return Header{}, false
	}
	h := Header{
		Time:   int64(binary.LittleEndian.Uint64(b[8:])),
		Length: int(binary.LittleEndian.Uint32(b[4:])),
	}
	switch b[1] {
	case 1:
		h.Stream = Stdout
	case 2:
		h.Stream = Stderr
	default:
		return Header{}, false
	}
	return h, h.Length > 0 && h.Length <= MaxData
}

// recordSum is the check of the header b at that offset.
func recordSum(b []byte, offset int64) uint32 {
	var text [24]byte
	copy(text[:], b[:16])
	binary.LittleEndian.PutUint64(text[16:], uint64(offset))
	return crc32.ChecksumIEEE(text[:])
}
