package wire

import (
	"errors"
	"slices"
	"sync"
	"unicode/utf8"

	"google.golang.org/grpc/encoding"
	protocodec "google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/atom-router/atom-router/atom"
	pb "github.com/atom-router/atom-router/plugin/proto/atomrouter/engine/v1"
)

// LogBytes is about how much one message of a log stream holds.
const LogBytes = 64 << 10

// codec is gRPC's own for protobuf, but that large messages of a log stream are
// encoded into buffers of their size, and all decoded, as Logs, without a copy
// of their data: with the library's a mebibyte of logs left three of garbage
// and of zeroed memory, whose collection cost more than TLS. What goes over
// the wire is the same.
type codec struct{ encoding.CodecV2 }

// newCodec is upon the codec that this program has for protobuf, which may be
// one that somebody registered by the older interface.
func newCodec() codec {
	if c := encoding.GetCodecV2(protocodec.Name); c != nil {
		return codec{c}
	}
	return codec{older{encoding.GetCodec(protocodec.Name)}}
}

// older is a codec of gRPC's first interface.
type older struct{ encoding.Codec }

func (o older) Marshal(v any) (mem.BufferSlice, error) {
	text, err := o.Codec.Marshal(v)
	return mem.BufferSlice{mem.SliceBuffer(text)}, err
}

func (o older) Unmarshal(in mem.BufferSlice, v any) error {
	return o.Codec.Unmarshal(in.Materialize(), v)
}

// Name is empty, for the content type of the calls to stay what it is.
func (codec) Name() string { return "" }

// Marshal implements encoding.CodecV2.
func (c codec) Marshal(v any) (mem.BufferSlice, error) {
	m, ok := v.(*pb.LogsResponse)
	if !ok {
		return c.CodecV2.Marshal(v)
	}
	size := proto.Size(m)
	if size <= ownBuffers {
		return c.CodecV2.Marshal(v)
	}
	buf := logBuffers.Get(size)
	if _, err := (proto.MarshalOptions{UseCachedSize: true}).MarshalAppend((*buf)[:0], m); err != nil {
		logBuffers.Put(buf)
		return nil, err
	}
	return mem.BufferSlice{mem.NewBuffer(buf, logBuffers)}, nil
}

// Unmarshal implements encoding.CodecV2.
func (c codec) Unmarshal(in mem.BufferSlice, v any) error {
	m, ok := v.(*Logs)
	if !ok {
		return c.CodecV2.Unmarshal(in, v)
	}
	return m.decode(in)
}

const (
	// ownBuffers is how large the messages are that gRPC has buffers for, of
	// about their size; above it there are only those of a mebibyte. Hundreds
	// of small messages may wait for a reader who does not read.
	ownBuffers = 32 << 10
	// bufferRoom is LogBytes, and what a message has beside its data.
	bufferRoom = LogBytes + 4<<10
)

// logBuffers hold large messages until they are sent. Unlike gRPC's they are
// not zeroed.
var logBuffers = &bufferPool{}

type bufferPool struct{ pool sync.Pool }

// Get implements mem.BufferPool.
func (p *bufferPool) Get(size int) *[]byte {
	if size > bufferRoom {
		b := make([]byte, size)
		return &b
	}
	b, ok := p.pool.Get().(*[]byte)
	if !ok {
		fresh := make([]byte, bufferRoom)
		b = &fresh
	}
	*b = (*b)[:size]
	return b
}

// Put implements mem.BufferPool.
func (p *bufferPool) Put(b *[]byte) {
	if cap(*b) == bufferRoom {
		p.pool.Put(b)
	}
}

// Logs is a LogsResponse as it is received: a stream's reader gives the same
// one to each RecvMsg, which overwrites its chunks and their data.
type Logs struct {
	Chunks []atom.LogChunk
	buf    []byte
}

// keptChunks is for how many chunks a stream keeps memory.
const keptChunks = 1024

// String is for gRPC's traces, which look at messages later.
func (*Logs) String() string { return "logs" }

// decode is proto.Unmarshal into a Logs.
func (m *Logs) decode(in mem.BufferSlice) error {
	n := in.Len()
	text := slices.Grow(m.buf[:0], n)[:n]
	if n <= bufferRoom { // one that is larger is not kept
		m.buf = text
	}
	in.CopyTo(text)
	clear(m.Chunks) // their data may be a larger buffer
	if m.Chunks = m.Chunks[:0]; cap(m.Chunks) > keptChunks {
		m.Chunks = nil
	}
	for len(text) > 0 {
		f, err := nextField(&text)
		if err != nil {
			return err
		}
		if !f.is(1, protowire.BytesType) {
			continue // of a later version
		}
		chunk, err := decodeChunk(f.bytes)
		if err != nil {
			return err
		}
		m.Chunks = append(m.Chunks, chunk)
	}
	return nil
}

// decodeChunk decodes a LogChunk, whose data remains b's.
func decodeChunk(b []byte) (chunk atom.LogChunk, err error) {
	var at *timestamppb.Timestamp
	for len(b) > 0 {
		f, err := nextField(&b)
		switch {
		case err != nil:
			return chunk, err
		case f.is(1, protowire.VarintType):
			chunk.Stream = StreamFromWire[pb.Stream(f.number)]
		case f.is(2, protowire.BytesType):
			if at == nil {
				at = &timestamppb.Timestamp{}
			}
			if err := (proto.UnmarshalOptions{Merge: true}).Unmarshal(f.bytes, at); err != nil {
				return chunk, err
			}
		case f.is(3, protowire.BytesType):
			chunk.Data = slices.Clip(f.bytes)
		case f.is(4, protowire.BytesType):
			if !utf8.Valid(f.bytes) {
				return chunk, errors.New("a cursor is not valid UTF-8")
			}
			chunk.Cursor = string(f.bytes)
		}
	}
	chunk.Time = timeFromWire(at)
	return chunk, nil
}

// field is one of a message, in its encoding.
type field struct {
	id     protowire.Number
	kind   protowire.Type
	number uint64 // of a VarintType
	bytes  []byte // of a BytesType
}

func (f field) is(id protowire.Number, kind protowire.Type) bool { return f.id == id && f.kind == kind }

// nextField takes a field off b.
func nextField(b *[]byte) (f field, err error) {
	var n int
	if f.id, f.kind, n = protowire.ConsumeTag(*b); n < 0 {
		return f, protowire.ParseError(n)
	}
	if f.id > protowire.MaxValidNumber { // which ConsumeTag does not look at
		return f, errors.New("a field has an invalid number")
	}
	value := (*b)[n:]
	switch f.kind {
	case protowire.VarintType:
		f.number, n = protowire.ConsumeVarint(value)
	case protowire.BytesType:
		f.bytes, n = protowire.ConsumeBytes(value)
	default:
		n = protowire.ConsumeFieldValue(f.id, f.kind, value)
	}
	if n < 0 {
		return f, protowire.ParseError(n)
	}
	*b = value[n:]
	return f, nil
}
