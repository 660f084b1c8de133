package wire

import (
	"bytes"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/internal/wire/wiretest"
	pb "github.com/atom-router/atom-router/plugin/proto/atomrouter/engine/v1"
)

// inPieces is text as it comes in from HTTP/2.
func inPieces(text []byte, size int) (pieces mem.BufferSlice) {
	for len(text) > 0 {
		n := min(size, len(text))
		pieces = append(pieces, mem.SliceBuffer(text[:n:n]))
		text = text[n:]
	}
	return pieces
}

// received is what a client gets of a message that a server sends.
func received(t testing.TB, m *pb.LogsResponse) []atom.LogChunk {
	t.Helper()
	sent, err := newCodec().Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	defer sent.Free()
	text := sent.Materialize()
	if want, err := proto.Marshal(m); err != nil || !bytes.Equal(text, want) {
		t.Fatalf("encoded as %q, by the library as %q, %v", text, want, err)
	}
	var got Logs
	if err := newCodec().Unmarshal(inPieces(text, 16<<10), &got); err != nil {
		t.Fatal(err)
	}
	return got.Chunks
}

// byLibrary is what the library makes of an encoded LogsResponse.
func byLibrary(text []byte) (chunks []atom.LogChunk, err error) {
	var m pb.LogsResponse
	if err := proto.Unmarshal(text, &m); err != nil {
		return nil, err
	}
	for _, c := range m.Chunks {
		chunks = append(chunks, atom.LogChunk{Stream: StreamFromWire[c.Stream], Time: timeFromWire(c.Time), Data: c.Data, Cursor: c.Cursor})
	}
	return chunks, nil
}

func TestLogsTravel(t *testing.T) {
	at := time.Date(1960, 1, 2, 3, 4, 5, 6, time.UTC)
	for _, sent := range [][]atom.LogChunk{
		nil,
		{wiretest.Filled[atom.LogChunk](t)},
		{{}, {Stream: atom.Stdout}, {Time: at}, {Data: []byte("x")}, {Cursor: "c"}},
		{{Data: bytes.Repeat([]byte("0123456789"), 50_000), Cursor: "large"}, {Data: []byte("small")}},
	} {
		m := &pb.LogsResponse{}
		for _, c := range sent {
			m.Chunks = append(m.Chunks, ChunkToWire(c))
		}
		if diff := cmp.Diff(sent, received(t, m), cmp.Comparer(bytes.Equal)); diff != "" { // by itself it takes seconds
			t.Errorf("-sent +received:\n%.1000s", diff)
		}
	}
}

// A server's buffers and a client's are used again; what one message leaves in
// them is in no other.
func TestLogsDoNotMix(t *testing.T) {
	c := newCodec()
	var got Logs
	for i, size := range []int{100, LogBytes, 1, 2 * LogBytes, 50, LogBytes, 0, 3} {
		want := strings.Repeat(string(rune('a'+i)), size)
		sent, err := c.Marshal(&pb.LogsResponse{Chunks: []*pb.LogChunk{{Data: []byte(want)}, {Cursor: "end"}}})
		if err != nil {
			t.Fatal(err)
		}
		err = c.Unmarshal(sent, &got)
		sent.Free()
		if err != nil || len(got.Chunks) != 2 || string(got.Chunks[0].Data) != want || got.Chunks[1].Cursor != "end" || got.Chunks[1].Data != nil {
			t.Fatalf("%d bytes became %.200v, %v", size, got.Chunks, err)
		}
	}
}

// Hundreds of small messages may wait for a reader who does not read.
func TestSmallLogsTakeLittle(t *testing.T) {
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	var waiting []mem.BufferSlice
	before := heap()
	for range 1000 {
		sent, err := newCodec().Marshal(&pb.LogsResponse{Chunks: []*pb.LogChunk{{Data: []byte("a line"), Cursor: "c"}}})
		if err != nil {
			t.Fatal(err)
		}
		waiting = append(waiting, sent)
	}
	if took := int64(heap()) - int64(before); took > 1<<20 {
		t.Errorf("%d messages of a line take %d bytes", len(waiting), took)
	}
	runtime.KeepAlive(waiting)
}

// A message that was large leaves nothing behind.
func TestLargeLogsAreLetGo(t *testing.T) {
	c := newCodec()
	var got Logs
	large := &pb.LogsResponse{}
	for range 2 * keptChunks {
		large.Chunks = append(large.Chunks, &pb.LogChunk{Data: make([]byte, 1<<10)})
	}
	for _, m := range []*pb.LogsResponse{{Chunks: large.Chunks[:3*keptChunks/4]}, large, {Chunks: large.Chunks[:1]}} {
		sent, err := c.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Unmarshal(sent, &got); err != nil || len(got.Chunks) != len(m.Chunks) {
			t.Fatalf("%d chunks of %d, %v", len(got.Chunks), len(m.Chunks), err)
		}
	}
	if cap(got.Chunks) > keptChunks || cap(got.buf) > 2*bufferRoom {
		t.Errorf("memory for %d chunks and %d bytes is kept", cap(got.Chunks), cap(got.buf))
	}
	for _, c := range got.Chunks[1:cap(got.Chunks)] {
		if c.Data != nil {
			t.Fatal("data of the large message is kept")
		}
	}
}

type olderCodec struct{}

func (olderCodec) Name() string                  { return "proto" }
func (olderCodec) Marshal(v any) ([]byte, error) { return proto.Marshal(v.(proto.Message)) }
func (olderCodec) Unmarshal(text []byte, v any) error {
	return proto.Unmarshal(text, v.(proto.Message))
}

// Programs may have registered a codec of their own, by gRPC's first interface.
func TestOlderCodec(t *testing.T) {
	usual := encoding.GetCodecV2("proto")
	encoding.RegisterCodec(olderCodec{})
	defer encoding.RegisterCodecV2(usual)
	c := newCodec()
	sent, err := c.Marshal(&pb.GetRequest{Id: "x"})
	if err != nil {
		t.Fatal(err)
	}
	var got pb.GetRequest
	if err := c.Unmarshal(sent, &got); err != nil || got.Id != "x" {
		t.Errorf("%v, %v", &got, err)
	}
	if chunks := received(t, &pb.LogsResponse{Chunks: []*pb.LogChunk{{Cursor: "c"}}}); len(chunks) != 1 || chunks[0].Cursor != "c" {
		t.Errorf("%v", chunks)
	}
}

func TestLogsThatCannotTravel(t *testing.T) {
	if out, err := newCodec().Marshal(&pb.LogsResponse{Chunks: []*pb.LogChunk{{Cursor: "\xff"}}}); err == nil {
		t.Errorf("text that is not UTF-8 was encoded as %q", out.Materialize())
	}
	if err := newCodec().Unmarshal(nil, "no message"); err == nil {
		t.Error("a string was taken for a message")
	}
}

// FuzzLogs compares the decoder with the library's.
func FuzzLogs(f *testing.F) {
	whole := wiretest.FilledMessage(&pb.LogChunk{})
	text, err := proto.Marshal(&pb.LogsResponse{Chunks: []*pb.LogChunk{whole, {Data: []byte("x")}, {}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text, 3)
	f.Add(append(protowire.AppendTag(nil, 9, protowire.VarintType), 1), 1)                     // of a later version
	f.Add(protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), "\x10"), 7) // cut off
	f.Add([]byte("\x0a\x08\x12\x02\x08\x01\x12\x02\x10\x02"), 2)                               // a time in two parts
	f.Add([]byte("\x0a\x03\x22\x01\xff"), 4)                                                   // a cursor that is not UTF-8
	f.Add([]byte("\x0b\x0c\x0a\x00"), 1)                                                       // a group
	f.Fuzz(func(t *testing.T, text []byte, size int) {
		want, failed := byLibrary(text)
		var got Logs
		err := newCodec().Unmarshal(inPieces(text, min(max(size, 1), 1<<20)), &got)
		if (err != nil) != (failed != nil) {
			t.Fatalf("%v, and the library %v", err, failed)
		}
		if err != nil {
			return
		}
		for i := range got.Chunks {
			if len(got.Chunks[i].Data) == 0 { // nil or not
				got.Chunks[i].Data = want[i].Data
			}
		}
		if diff := cmp.Diff(want, got.Chunks); diff != "" && len(want)+len(got.Chunks) > 0 {
			t.Errorf("-library +ours:\n%s", diff)
		}
	})
}
