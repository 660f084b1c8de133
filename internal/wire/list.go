package wire

import (
	"context"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/atom-router/atom-router/atom"
	pb "github.com/atom-router/atom-router/plugin/proto/atomrouter/engine/v1"
)

// MaxMessageBytes is the largest message that either end of the wire takes: a
// Create may have a large environment.
const MaxMessageBytes = 64 << 20

// listBatch is how many atoms a message of a List holds, and listBytes about
// how large it gets: atoms may have large labels.
const (
	listBatch = 256
	listBytes = 1 << 20
)

// CallOptions are those of every call.
func CallOptions() []grpc.CallOption {
	return []grpc.CallOption{grpc.MaxCallRecvMsgSize(MaxMessageBytes), grpc.MaxCallSendMsgSize(MaxMessageBytes)}
}

// SendAtoms sends what a List found, in batches.
func SendAtoms(atoms []atom.Atom, send func(*pb.ListResponse) error) error {
	var batch []*pb.Atom
	size := 0
	for i, a := range atoms {
		batch = append(batch, AtomToWire(a))
		size += proto.Size(batch[len(batch)-1])
		if i < len(atoms)-1 && len(batch) < listBatch && size < listBytes {
			continue
		}
		if err := send(&pb.ListResponse{Atoms: batch}); err != nil {
			return err
		}
		batch, size = nil, 0
	}
	return nil
}

// ReceiveAtoms takes in what SendAtoms sent. The other side's own error may
// stand beside atoms; where the connection broke there are none.
func ReceiveAtoms(ctx context.Context, receive func() (*pb.ListResponse, error), engine atom.Engine) ([]atom.Atom, error) {
	var atoms []atom.Atom
	for {
		batch, err := receive()
		if err == io.EOF {
			return atoms, nil
		}
		if err != nil && !Broken(err) {
			return atoms, ErrorFromWire(ctx, err)
		}
		if err != nil {
			return nil, ErrorFromWire(ctx, err)
		}
		for _, a := range batch.GetAtoms() {
			atoms = append(atoms, AtomFromWire(a, engine))
		}
	}
}
