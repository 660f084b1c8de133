package plugin

import (
	"bytes"
	"context"
	"errors"
	"io"

	"google.golang.org/grpc"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/internal/wire"
	pb "github.com/atom-router/atom-router/plugin/proto/atomrouter/engine/v1"
)

// Logs implements atom.Engine. Its reader is an *atom.LogReader. What the
// caller does not read stays with the engine, but for gRPC's window.
func (c *Client) Logs(r *atom.EngineLogsRequest) (io.ReadCloser, error) {
	if err := errors.Join(wire.Sendable("id", r.ID, "owner", r.Owner, "cursor", r.Cursor), wire.KnownStream(r.Stream)); err != nil {
		return nil, err
	}
	ctx := atom.ContextOr(r.Context)
	streaming, cancel := context.WithCancel(ctx)
	stream, err := c.rpc.Logs(streaming, wire.LogsToWire(r), c.options...)
	if err == nil {
		// Headers come when the engine has found the atom. Where they do not
		// come, the status that came instead says why.
		if md, herr := stream.Header(); herr != nil {
			err = herr
		} else if md == nil {
			_, err = stream.Recv()
		}
	}
	if err != nil && err != io.EOF {
		cancel()
		return nil, wire.ErrorFromWire(ctx, err)
	}
	return atom.NewLogReader(&remoteLogs{ctx: ctx, stream: stream, cancel: cancel}, r.Timestamps), nil
}

// remoteLogs is the LogSource of a Logs stream.
type remoteLogs struct {
	ctx    context.Context // the caller's
	stream grpc.ServerStreamingClient[pb.LogsResponse]
	cancel context.CancelFunc
	last   wire.Logs
	given  int // how many of the last message's chunks were handed out
}

// Next implements atom.LogSource.
func (l *remoteLogs) Next() (atom.LogChunk, error) {
	chunk, err := l.Lend()
	chunk.Data = bytes.Clone(chunk.Data)
	return chunk, err
}

// Lend implements atom.LogLender.
func (l *remoteLogs) Lend() (atom.LogChunk, error) {
	for l.given == len(l.last.Chunks) {
		err := l.stream.RecvMsg(&l.last)
		if err == io.EOF {
			l.cancel()
			return atom.LogChunk{}, err
		}
		if err != nil {
			l.cancel()
			return atom.LogChunk{}, wire.ErrorFromWire(l.ctx, err)
		}
		l.given = 0
	}
	l.given++
	return l.last.Chunks[l.given-1], nil
}

func (l *remoteLogs) Close() error {
	l.cancel()
	return nil
}
