package plugin

import (
	"context"
	"fmt"
	"io"
	"runtime/debug"
	"slices"
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
	// logWindow is how much of a stream waits here for the network.
	logWindow = 256 << 10
	// logMessage is how much one message holds at the most, but for a chunk
	// that is larger by itself. With what stands around it, it fits into a
	// buffer of 32 KiB; the next larger ones that gRPC makes are a mebibyte.
	logMessage = 31 << 10
	// logSoon is how soon after the last message the next one must be there for
	// the stream to be busy. While it is, small messages wait for logPause and
	// grow: each costs both processes what 30 KiB cost to carry.
	logSoon  = 300 * time.Microsecond
	logPause = time.Millisecond
	// chunkCost is about what a chunk takes in memory beside its data.
	chunkCost = 128
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
	var last time.Time
	for {
		chunks, bytes, err := q.take()
		if len(chunks) > 0 {
			if err := stream.Send(&pb.LogsResponse{Chunks: chunks}); err != nil {
				return err
			}
			if bytes < logMessage/2 && time.Since(last) < logSoon {
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

// chunksOf is how to get the next chunk of a reader. One that is no
// *atom.LogReader has bytes and nothing else.
func chunksOf(logs io.ReadCloser) func() (atom.LogChunk, error) {
	if r, ok := logs.(*atom.LogReader); ok {
		return r.Next
	}
	return func() (atom.LogChunk, error) {
		buf := make([]byte, 32<<10)
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

// logQueue holds chunks between reading and sending, at most about logWindow
// bytes.
type logQueue struct {
	merge bool

	mu     sync.Mutex
	change sync.Cond
	chunks []*pb.LogChunk
	bytes  int
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
		for err == nil && q.bytes >= logWindow && !q.ended {
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

// put adds a chunk, to the one before it where that makes no difference.
// Called with mu held.
func (q *logQueue) put(c atom.LogChunk) {
	stream := wire.StreamToWire[c.Stream]
	if n := len(q.chunks); q.merge && n > 0 && q.chunks[n-1].Stream == stream && len(q.chunks[n-1].Data)+len(c.Data) <= logMessage-chunkCost {
		last := q.chunks[n-1]
		last.Data = appendInSteps(last.Data, c.Data)
		last.Cursor = c.Cursor
		q.bytes += len(c.Data)
		return
	}
	c.Data = slices.Clip(c.Data) // what follows it may be another chunk's
	q.chunks = append(q.chunks, wire.ChunkToWire(c))
	q.bytes += len(c.Data) + chunkCost
}

// appendInSteps is append with few steps on the way to a full message.
func appendInSteps(to, data []byte) []byte {
	need := len(to) + len(data)
	if need > cap(to) {
		room := logMessage
		if need <= logMessage/8 {
			room = logMessage / 8
		}
		to = append(make([]byte, 0, room), to...)
	}
	return append(to, data...)
}

// take waits for chunks and removes a message's worth, so many bytes; with
// none, err is why there will be none.
func (q *logQueue) take() (taken []*pb.LogChunk, bytes int, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.chunks) == 0 && q.err == nil && !q.ended {
		q.change.Wait()
	}
	n := 0
	for n < len(q.chunks) && (n == 0 || bytes+len(q.chunks[n].Data)+chunkCost <= logMessage) {
		bytes += len(q.chunks[n].Data) + chunkCost
		n++
	}
	taken = q.chunks[:n:n]
	q.chunks = q.chunks[n:]
	q.bytes -= bytes
	q.change.Broadcast()
	return taken, bytes, q.err
}

// end lets fill and take return.
func (q *logQueue) end() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.ended = true
	q.change.Broadcast()
}
