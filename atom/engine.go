package atom

import (
	"context"
	"io"
	"time"

	"github.com/atom-router/atom-router/atom/container"
)

// DefaultOwner is the owner of atoms whose requests name none.
const DefaultOwner = "default"

// Engine makes atoms and finds them again. Its six methods are all it will
// ever have.
//
// Every method ends promptly with the context's error when the request's
// Context ends, and then leaves no goroutine, stream or connection behind.
// Objects of another owner do not exist: Get, Logs, Wait and Stop of them are
// NotFound.
type Engine interface {
	// Get returns the atom as it is now; NotFound if there is none.
	Get(*EngineGetRequest) (Atom, error)
	// List returns the owner's atoms, stopped ones too, created in
	// [Since, Before), oldest first. A router whose backends did not all
	// answer returns both: what it has, and an error naming the others.
	List(*EngineListRequest) ([]Atom, error)
	// Create returns when the atom exists; it does not wait for it to run.
	// Two Creates of one owner and Key give one atom, for as long as it
	// exists; the same Key with another request is AlreadyExists. An error
	// leaves nothing behind, unless it is an *OutcomeUnknown.
	Create(*EngineCreateRequest) (Atom, error)
	// Wait returns the atom once it has stopped, at once if it already has;
	// NotFound if it never was. If it is deleted meanwhile, Wait returns the
	// last state seen with its Result, or Deleted with Unknown.
	Wait(*EngineWaitRequest) (Atom, error)
	// Stop ends the atom and keeps it, and returns when it has stopped. A
	// stopped atom is no error.
	Stop(*EngineStopRequest) error
	// Logs returns the job's output as the backend recorded it, and follows
	// it until the atom has stopped and all is delivered, which io.EOF
	// says; any other end is an error from Read. Close ends it at once. The
	// readers of this module's engines are *LogReader.
	Logs(*EngineLogsRequest) (io.ReadCloser, error)
}

// Deleter is an Engine that can remove atoms.
type Deleter interface {
	// Delete removes a stopped atom. A running one is FailedPrecondition
	// unless Force. Afterwards Get is NotFound and List does not show it.
	Delete(*EngineDeleteRequest) error
}

// Lookuper is an Engine that finds an atom by its idempotency key.
type Lookuper interface {
	// Lookup returns the atom that a Create under this owner and Key made;
	// NotFound if there is none. It creates nothing.
	Lookup(*EngineLookupRequest) (Atom, error)
}

// Prober is an Engine that can ask the daemon or cluster behind it whether it
// is there and what it can do. Capabilities are a backend's, not a program's:
// the same engine may have more on one daemon than on another.
type Prober interface {
	// Probe returns what the backend can do now; Unavailable where it does
	// not answer.
	Probe(context.Context) (Capabilities, error)
}

// ListStreamer is an Engine that tells of a List's atoms while it finds them.
// Package function StreamList does so with any Engine.
type ListStreamer interface {
	// StreamList calls found with each atom that a List would return, as soon
	// as it is known: in no order, none twice, never from two goroutines at
	// once and not after StreamList has returned. While found does not return,
	// little is read ahead. An error of found ends the call, which returns it.
	// After any other error atoms may be missing, as after one of List.
	StreamList(r *EngineListRequest, found func(Atom) error) error
}

// EngineGetRequest asks for one atom.
type EngineGetRequest struct {
	ID string

	// Context ends the call; nil is context.Background().
	Context context.Context
	// Owner is whose atom it is; "" is DefaultOwner. Routers fill it in.
	Owner string
}

// EngineListRequest asks for the atoms created in [Since, Before). A zero
// time leaves that side open.
type EngineListRequest struct {
	Since  time.Time
	Before time.Time

	// Context ends the call; nil is context.Background().
	Context context.Context
	// Owner is whose atoms; "" is DefaultOwner. Routers fill it in.
	Owner string
}

// EngineCreateRequest describes an atom to be made.
type EngineCreateRequest struct {
	// Name is for people. It is kept as given; two atoms may share one.
	Name string
	// Image names what to run, as the backend understands it.
	Image string
	// Command replaces the image's CMD and keeps its ENTRYPOINT; empty keeps
	// both. Values arrive as given; nothing is expanded.
	Command []string
	Spec    container.Spec

	// Context ends the call; nil is context.Background().
	Context context.Context
	// Owner is whose atom it will be; "" is DefaultOwner. Routers fill it
	// in.
	Owner string
	// Key makes the call idempotent; "" makes a new atom each time.
	Key string
	// Rule is the router's rule that chose the backend, kept with the atom.
	// Routers fill it in.
	Rule string
	// Progress, where it is set, is told how a Create that takes long gets
	// on: never by two goroutines at once, and not after Create has
	// returned. Create waits for it, so it has to return soon. It is no part
	// of the request's Hash.
	Progress func(Progress)
	// FreshKey says that Key was made for this one call, which is its first
	// attempt, so that nobody can have made an atom under it yet. Routers
	// fill it in, for routers; engines need not care.
	FreshKey bool
	// AskedAgain says that Key was made for this one call, and that the answer
	// to an attempt under it was lost. An engine that takes no Keys may have
	// made an atom then, which cannot be found by it. For routers, as FreshKey.
	AskedAgain bool
}

// EngineLookupRequest asks for the atom made under Owner and Key.
type EngineLookupRequest struct {
	Key string

	// Context ends the call; nil is context.Background().
	Context context.Context
	// Owner is whose atom it is; "" is DefaultOwner. Routers fill it in.
	Owner string
}

// EngineWaitRequest waits for an atom to stop.
type EngineWaitRequest struct {
	ID string
	// Context ends the call; nil is context.Background().
	Context context.Context

	// Owner is whose atom it is; "" is DefaultOwner. Routers fill it in.
	Owner string
}

// EngineStopRequest ends an atom: SIGTERM, then SIGKILL after Timeout.
type EngineStopRequest struct {
	ID string
	// Force sends SIGKILL at once.
	Force bool
	// Timeout is the grace; fractions of a second round up. Zero is the
	// atom's StopTimeout, or else the backend's.
	Timeout time.Duration

	// Context ends the call; nil is context.Background(). A stop that was
	// begun is not taken back.
	Context context.Context
	// Owner is whose atom it is; "" is DefaultOwner. Routers fill it in.
	Owner string
}

// EngineDeleteRequest removes an atom.
type EngineDeleteRequest struct {
	ID string
	// Force stops a running atom with SIGKILL first.
	Force bool

	// Context ends the call; nil is context.Background().
	Context context.Context
	// Owner is whose atom it is; "" is DefaultOwner. Routers fill it in.
	Owner string
}

// EngineLogsRequest asks for an atom's output.
type EngineLogsRequest struct {
	ID string
	// Since leaves out what was written before it, to the nanosecond.
	Since time.Time

	// NoFollow ends the stream at what has been written so far.
	NoFollow bool
	// Tail begins at the last so many lines of those that the other fields
	// leave; 0 is all of them, TailNone none.
	Tail int
	// Timestamps puts the time of writing (RFC 3339 with nanoseconds, UTC)
	// and a blank before each line.
	Timestamps bool
	// Stream leaves only one stream; "" is both. It needs CapLogStreams.
	Stream Stream
	// Cursor, from a LogChunk of the same atom and engine, resumes after
	// that chunk; the other fields must be as they were. Tail is then
	// ignored.
	Cursor string

	// Context ends the call and the stream; nil is context.Background().
	Context context.Context
	// Owner is whose atom it is; "" is DefaultOwner. Routers fill it in.
	Owner string
}

// TailNone as a Tail leaves out everything written so far.
const TailNone = -1

// ContextOr returns ctx, or context.Background() where a request left it nil.
func ContextOr(ctx context.Context) context.Context {
	if ctx == nil {
		return context.Background()
	}
	return ctx
}

// OwnerOr returns owner, or DefaultOwner where a request left it empty.
func OwnerOr(owner string) string {
	if owner == "" {
		return DefaultOwner
	}
	return owner
}
