package main

import (
	"bytes"
	"context"
	"io"
	"time"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/plugin"
	pb "github.com/atom-router/atom-router/plugin/proto/atomrouter/engine/v1"
)

const (
	// pouredChunk is what an engine that reads files hands out at a time.
	pouredChunk = 16 << 10
	// bareMessage is as large as the largest that fit into a buffer of gRPC's
	// below a mebibyte: with larger ones it is slower.
	bareMessage = 31 << 10
)

// compareWire has the logs of an engine that only pours them out read through
// router and plugin, and as many bytes from a bare gRPC stream, as gRPC does it
// by itself, with messages of the size that it carries fastest.
func compareWire(ctx context.Context, rounds int) (race, error) {
	conn, _, stop, err := startBare(ctx)
	if err != nil {
		return race{}, err
	}
	defer stop()
	bare := pb.NewEngineClient(conn)
	r, err := routerOver(ctx, "child-pouring")
	if err != nil {
		return race{}, err
	}
	defer r.Close()
	return alternate(rounds,
		func() (time.Duration, error) {
			return timed(func() error {
				stream, err := bare.Logs(ctx, &pb.LogsRequest{})
				if err != nil {
					return err
				}
				var n int64
				for {
					m, err := stream.Recv()
					if err == io.EOF {
						return whole(n, logBytes)
					}
					if err != nil {
						return err
					}
					n += int64(len(m.Chunks[0].Data))
				}
			})
		},
		func() (time.Duration, error) {
			return timed(func() error { return readLogs(ctx, r, "b:any", logBytes) })
		})
}

// bareStream is an engine of the wire alone, and of its Logs alone.
type bareStream struct{ pb.UnimplementedEngineServer }

func (bareStream) Logs(_ *pb.LogsRequest, stream grpc.ServerStreamingServer[pb.LogsResponse]) error {
	m := &pb.LogsResponse{Chunks: []*pb.LogChunk{{Stream: pb.Stream_STREAM_STDOUT, Data: bytes.Repeat([]byte("x"), bareMessage), Cursor: "1"}}}
	for range logBytes / bareMessage {
		if err := stream.Send(m); err != nil {
			return err
		}
	}
	return nil
}

// servePouring is a plugin whose atoms have written logBytes.
func servePouring() {
	plugin.Serve(plugin.Plugin[struct{}]{
		Name: "pouring", Version: "bench", Capabilities: atom.Capabilities{atom.CapImages},
		New: func(context.Context, struct{}, hclog.Logger) (atom.Engine, error) { return &pouring{}, nil },
	})
}

type pouring struct{ endless }

func (*pouring) Logs(*atom.EngineLogsRequest) (io.ReadCloser, error) {
	return atom.NewLogReader(&poured{left: logBytes, chunk: bytes.Repeat([]byte("x"), pouredChunk)}, false), nil
}

// poured is a log of the same chunk again and again.
type poured struct {
	left  int
	chunk []byte
}

func (p *poured) Next() (atom.LogChunk, error) {
	if p.left <= 0 {
		return atom.LogChunk{}, io.EOF
	}
	p.left -= len(p.chunk)
	return atom.LogChunk{Stream: atom.Stdout, Data: p.chunk, Cursor: "1"}, nil
}

func (p *poured) Close() error { p.left = 0; return nil }
