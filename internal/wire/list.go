package wire

import (
	"context"
	"io"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/atom-router/atom-router/atom"
	pb "github.com/atom-router/atom-router/plugin/proto/atomrouter/engine/v1"
)

// MaxMessageBytes is the largest message that either end of the wire takes: a
// Create may have a large environment.
const MaxMessageBytes = 64 << 20

// listBatch is how many atoms a message of a List holds, and listBytes about
// how large it gets: atoms may have large labels. batchPause is for how long an
// atom waits for others to go with.
const (
	listBatch  = 256
	listBytes  = 1 << 20
	batchPause = 10 * time.Millisecond
)

// CallOptions are those of every call.
func CallOptions() []grpc.CallOption {
	return []grpc.CallOption{grpc.MaxCallRecvMsgSize(MaxMessageBytes), grpc.MaxCallSendMsgSize(MaxMessageBytes), grpc.ForceCodecV2(newCodec())}
}

// Batches sends the atoms of a List: the first at once, the others in batches,
// none later than batchPause. Its methods may not be called by two goroutines
// at once.
type Batches struct {
	send func(*pb.ListResponse) error

	mu    sync.Mutex // send is called with it held
	begun bool
	batch []*pb.Atom
	size  int
	late  *time.Timer
	err   error // of send
}

func NewBatches(send func(*pb.ListResponse) error) *Batches { return &Batches{send: send} }

// Add sends an atom, soon. Its error is send's, also an earlier one.
func (b *Batches) Add(a atom.Atom) error {
	w := AtomToWire(a)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.batch = append(b.batch, w)
	b.size += proto.Size(w)
	switch {
	case !b.begun || len(b.batch) >= listBatch || b.size >= listBytes:
		b.begun = true
		b.flush()
	case b.late == nil:
		b.late = time.AfterFunc(batchPause, func() {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.flush()
		})
	case len(b.batch) == 1:
		b.late.Reset(batchPause)
	}
	return b.err
}

// End sends what is left. Nothing is sent afterwards.
func (b *Batches) End() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.flush()
	return b.err
}

// flush is called with mu held.
func (b *Batches) flush() {
	if b.late != nil {
		b.late.Stop()
	}
	if len(b.batch) > 0 && b.err == nil {
		b.err = b.send(&pb.ListResponse{Atoms: b.batch})
	}
	b.batch, b.size = nil, 0
}

// SendAtoms sends a whole list.
func SendAtoms(atoms []atom.Atom, send func(*pb.ListResponse) error) error {
	b := NewBatches(send)
	for _, a := range atoms {
		if err := b.Add(a); err != nil {
			return err
		}
	}
	return b.End()
}

// EachAtom calls found with what Batches sent, until that returns an error.
func EachAtom(ctx context.Context, receive func() (*pb.ListResponse, error), engine atom.Engine, found func(atom.Atom) error) error {
	for {
		batch, err := receive()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return ErrorFromWire(ctx, err)
		}
		for _, a := range batch.GetAtoms() {
			if err := found(AtomFromWire(a, engine)); err != nil {
				return err
			}
		}
	}
}

// ReceiveAtoms takes in a whole list. The other side's own error may stand
// beside atoms; where the connection broke there are none.
func ReceiveAtoms(ctx context.Context, receive func() (*pb.ListResponse, error), engine atom.Engine) ([]atom.Atom, error) {
	var atoms []atom.Atom
	var broken bool
	err := EachAtom(ctx, func() (*pb.ListResponse, error) {
		batch, err := receive()
		broken = err != nil && err != io.EOF && Broken(err)
		return batch, err
	}, engine, func(a atom.Atom) error {
		atoms = append(atoms, a)
		return nil
	})
	if broken {
		atoms = nil
	}
	return atoms, err
}
