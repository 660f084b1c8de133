//go:build linux || darwin

package process

import (
	"encoding/binary"
	"hash/crc32"
	"time"

	"github.com/atom-router/atom-router/atom"
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
	headerBytes  = 20
	trailerBytes = 4
	maxData      = 64 << 10
	maxRecord    = headerBytes + maxData + trailerBytes
)

// header is what stands before a record's data.
type header struct {
	stream atom.Stream
	time   int64
	length int
}

// size is that of the whole record.
func (h header) size() int64 { return int64(headerBytes + h.length + trailerBytes) }

func (h header) at() time.Time { return time.Unix(0, h.time).UTC() }

// putRecord completes a record in buf, whose data already stands at
// headerBytes, and returns it.
func putRecord(buf []byte, offset int64, h header) []byte {
	buf[0] = recordMagic
	buf[1] = 1
	if h.stream == atom.Stderr {
		buf[1] = 2
	}
	buf[2], buf[3] = 0, 0
	binary.LittleEndian.PutUint32(buf[4:], uint32(h.length))
	binary.LittleEndian.PutUint64(buf[8:], uint64(h.time))
	binary.LittleEndian.PutUint32(buf[16:], recordSum(buf, offset))
	binary.LittleEndian.PutUint32(buf[headerBytes+h.length:], uint32(h.length))
	return buf[:h.size()]
}

// parseHeader reads the header at the beginning of b, which lies at offset in
// the log; false where there is none. b holds at least headerBytes.
func parseHeader(b []byte, offset int64) (header, bool) {
	if b[0] != recordMagic || binary.LittleEndian.Uint32(b[16:]) != recordSum(b, offset) {
		return header{}, false
	}
	h := header{
		time:   int64(binary.LittleEndian.Uint64(b[8:])),
		length: int(binary.LittleEndian.Uint32(b[4:])),
	}
	switch b[1] {
	case 1:
		h.stream = atom.Stdout
	case 2:
		h.stream = atom.Stderr
	default:
		return header{}, false
	}
	return h, h.length > 0 && h.length <= maxData
}

// recordSum is the check of the header b at that offset.
func recordSum(b []byte, offset int64) uint32 {
	var text [24]byte
	copy(text[:], b[:16])
	binary.LittleEndian.PutUint64(text[16:], uint64(offset))
	return crc32.ChecksumIEEE(text[:])
}
