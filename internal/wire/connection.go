package wire

import (
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"
)

const (
	// streamWindow is how much of a stream waits at either end for a reader
	// who does not read. Left to itself, gRPC lets it grow to 16 MiB, and
	// finds its size with a ping for each message.
	streamWindow = 512 << 10
	// streamWorkers are goroutines that a server keeps for calls that are
	// short: a new one grows its stack each time. Calls beyond them, as while
	// Waits hold them all, get one of their own.
	streamWorkers = 4
)

// DialOptions are those of every connection, at a plugin or a daemon.
func DialOptions() []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithDefaultCallOptions(CallOptions()...),
		// An idle connection is kept: its socket may be gone from the disk.
		grpc.WithIdleTimeout(0),
		grpc.WithInitialWindowSize(streamWindow), grpc.WithInitialConnWindowSize(4 * streamWindow),
	}
}

// ServerOptions are those of every server, and allow what DialOptions do.
func ServerOptions() []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.MaxRecvMsgSize(MaxMessageBytes), grpc.MaxSendMsgSize(MaxMessageBytes),
		grpc.InitialWindowSize(streamWindow), grpc.InitialConnWindowSize(4 * streamWindow),
		grpc.NumStreamWorkers(streamWorkers), grpc.ForceServerCodecV2(newCodec()),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true}),
	}
}
