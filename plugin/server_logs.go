package plugin

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"runtime/debug"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/internal/wire"
	pb "github.com/atom-router/atom-router/plugin/proto/atomrouter/engine/v1"
)

const (
	// logWindow is how much memory a stream takes that waits here for the
	// network.
	logWindow = 256 << 10
	// logMessage is how much one message holds at the most, but for a chunk
	// that is larger by itself.
	logMessage = wire.LogBytes
	// logSoon is how soon after the last message the next one must have gone
	// for the stream to be busy. While it is, and less than half a message
	// waits, it is left alone for logPause: each message costs both processes
	// what 30 KiB cost to carry.
	logSoon  = 300 * time.Microsecond
	logPause = 2 * time.Millisecond
	// chunkCost is about what a chunk takes in memory beside its data, and
	// logRoom what a message of several has for that beside logMessage.
	chunkCost = 128
	logRoom   = 1 << 10
)

func (s *server) Logs(r *pb.LogsRequest, stream grpc.ServerStreamingServer[pb.LogsResponse]) error {
	_, err := call(s, "Logs", func(e atom.Engine) (struct{}, error) {
		if _, ok := wire.StreamFromWire[r.Stream]; r.Stream != pb.Stream_STREAM_UNSPECIFIED && !ok {
			return struct{}{}, &atom.FieldError{Field: "stream", Reason: fmt.Sprintf("%d is no stream of this protocol", r.Stream)}
		}
		req := wire.LogsFromWire(r)
		req.Context = stream.Context()
		logs, err := e.Logs(req)
		if err != nil {
			return struct{}{}, err
		}
		if err := stream.SendHeader(metadata.MD{}); err != nil {
			s.close(logs)
			return struct{}{}, err
		}
		return struct{}{}, s.pump(logs, !req.Timestamps, stream)
	})
	return err
}

// pump sends what logs yields until its end. One goroutine reads and one, the
// caller's, sends: what was read while a message was on its way makes up the
// next one, so that a busy stream has large messages and a quiet one no delay.
func (s *server) pump(logs io.ReadCloser, merge bool, stream grpc.ServerStreamingServer[pb.LogsResponse]) error {
	q := newLogQueue(merge)
	var reading sync.WaitGroup
	reading.Go(func() { q.fill(s.guarded(chunksOf(logs))) })
	// Close ends a blocked read, so that the reader ends with us. The stream's
	// context ends when its client goes away.
	end := func() { q.end(); s.close(logs) }
	stop := context.AfterFunc(stream.Context(), end)
	defer func() {
		stop()
		end()
		reading.Wait()
	}()
	var last time.Time // when the message before was sent
	for {
		chunks, err := q.take()
		if len(chunks) > 0 {
			if err := stream.Send(&pb.LogsResponse{Chunks: chunks}); err != nil {
				return err
			}
			recycle(chunks)
			if time.Since(last) < logSoon && q.fills() {
				time.Sleep(logPause)
			}
			last = time.Now()
			continue
		}
		if ctxErr := stream.Context().Err(); ctxErr != nil {
			return ctxErr
		}
		if err == io.EOF {
			return nil
		}
		return err
	}
}

// chunksOf is how to get the next chunk of a reader, whose data holds until the
// one after it. One that is no *atom.LogReader has bytes and nothing else.
func chunksOf(logs io.ReadCloser) func() (atom.LogChunk, error) {
	if r, ok := logs.(*atom.LogReader); ok {
		return func() (atom.LogChunk, error) { return atom.Borrow(r) }
	}
	buf := make([]byte, 32<<10)
	return func() (atom.LogChunk, error) {
		for {
			n, err := logs.Read(buf)
			if n > 0 {
				return atom.LogChunk{Data: buf[:n]}, nil // an error comes again
			}
			if err != nil {
				return atom.LogChunk{}, err
			}
		}
	}
}

// close closes a reader whose error nobody waits for any more.
func (s *server) close(logs io.Closer) {
	defer func() {
		if p := recover(); p != nil {
			s.log.Error("panic in the engine", "method", "Logs", "panic", p, "stack", string(debug.Stack()))
		}
	}()
	logs.Close()
}

// guarded turns a panic of next into an Internal error.
func (s *server) guarded(next func() (atom.LogChunk, error)) func() (atom.LogChunk, error) {
	return func() (chunk atom.LogChunk, err error) {
		defer func() {
			if p := recover(); p != nil {
				s.log.Error("panic in the engine", "method", "Logs", "panic", p, "stack", string(debug.Stack()))
				err = atom.Errorf(errdefs.ErrInternal, "the engine panicked in Logs: %v", p)
			}
		}()
		return next()
	}
}

// logQueue holds chunks between reading and sending, in about logWindow of
// memory at most.
type logQueue struct {
	merge bool

	mu     sync.Mutex
	change sync.Cond
	chunks []*pb.LogChunk
	bytes  int   // of data
	held   int   // of memory
	err    error // why no more chunks come
	ended  bool  // nobody takes any more
}

func newLogQueue(merge bool) *logQueue {
	q := &logQueue{merge: merge}
	q.change.L = &q.mu
	return q
}

// fill puts chunks in until there are no more, or nobody takes them.
func (q *logQueue) fill(next func() (atom.LogChunk, error)) {
	for {
		chunk, err := next()
		q.mu.Lock()
		for err == nil && q.held >= logWindow && !q.ended {
			q.change.Wait()
		}
		if err != nil || q.ended {
			q.err = err
			q.change.Broadcast()
			q.mu.Unlock()
			return
		}
		q.put(chunk)
		q.change.Broadcast()
		q.mu.Unlock()
	}
}

// put adds a copy of a chunk, to the one before it where that makes no
// difference. Called with mu held.
func (q *logQueue) put(c atom.LogChunk) {
	q.bytes += len(c.Data)
	stream := wire.StreamToWire[c.Stream]
	if n := len(q.chunks); q.merge && n > 0 && q.chunks[n-1].Stream == stream && len(q.chunks[n-1].Data)+len(c.Data) <= logMessage {
		last := q.chunks[n-1]
		q.held -= cap(last.Data)
		last.Data = appendLog(last.Data, c.Data)
		last.Cursor = c.Cursor
		q.held += cap(last.Data)
		return
	}
	if q.merge {
		c.Data = appendLog(nil, c.Data)
	} else {
		c.Data = bytes.Clone(c.Data)
	}
	q.chunks = append(q.chunks, wire.ChunkToWire(c))
	q.held += cap(c.Data) + chunkCost
}

// fullMessages are buffers of logMessage that were sent; those of busy streams,
// as the others need none.
var fullMessages = sync.Pool{New: func() any { return new([logMessage]byte) }}

// appendLog is append; what outgrows an eighth of a message gets room for a
// whole one.
func appendLog(to, data []byte) []byte {
	if need := len(to) + len(data); need > cap(to) && need > logMessage/8 && need <= logMessage {
		full := fullMessages.Get().(*[logMessage]byte)
		to = append(full[:0], to...)
	}
	return append(to, data...)
}

// recycle takes back the data of chunks that Send has encoded. gRPC's traces
// would still look at them.
func recycle(sent []*pb.LogChunk) {
	if grpc.EnableTracing {
		return
	}
	for _, c := range sent {
		if cap(c.Data) == logMessage {
			fullMessages.Put((*[logMessage]byte)(c.Data[:logMessage]))
		}
	}
}

// fills reports whether the next message would be small, and may still grow.
func (q *logQueue) fills() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.bytes < logMessage/2 && q.err == nil && !q.ended
}

// take waits for chunks and removes a message's worth; with none, err is why
// there will be none.
func (q *logQueue) take() (taken []*pb.LogChunk, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.chunks) == 0 && q.err == nil && !q.ended {
		q.change.Wait()
	}
	n, size := 0, 0
	for ; n < len(q.chunks); n++ {
		data := q.chunks[n].Data
		if size += len(data) + chunkCost; n > 0 && size > logMessage+logRoom {
			break
		}
		q.bytes -= len(data)
		q.held -= cap(data) + chunkCost
	}
	taken = q.chunks[:n:n]
	q.chunks = q.chunks[n:]
	q.change.Broadcast()
	return taken, q.err
}

// end lets fill and take return.
func (q *logQueue) end() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.ended = true
	q.change.Broadcast()
}
