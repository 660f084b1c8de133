package router

import (
	"context"

	"github.com/atom-router/atom-router/atom"
)

// Observer is told what a router does: by it a program measures and traces.
// Its methods are called from any number of goroutines, on the way of the
// calls that they tell of, and must not block.
//
// What it is told as operation is one of "create", "get", "list", "lookup",
// "logs", "wait", "stop" and "delete"; backend and rule are names of the
// config, and "" where there is none. It is told nothing of requests' fields.
type Observer interface {
	// Call says that a call began. It goes on with the context that Call
	// returns, which must be one of ctx. ended is called once, when the call
	// has ended; of Logs, when the stream has. backend is not known yet where
	// the rules are to choose it. A List is one call for each backend that is
	// asked; one that ended before it came to that has no backend.
	Call(ctx context.Context, operation, backend string) (_ context.Context, ended Ended)
	// Decided says which rule decided about a Create, and whether it rejected
	// it.
	Decided(ctx context.Context, rule string, rejected bool)
	// FellBack says that a Create that another backend took was passed on by
	// this one, for this cause.
	FellBack(ctx context.Context, rule, backend string, cause Cause)
	// Resumed says that a Wait or a Logs goes on with the next plugin process
	// of its backend.
	Resumed(ctx context.Context, operation, backend string)
	// LogBytes says that a caller was given so many bytes of an atom's output.
	LogBytes(backend string, n int)
}

// Ended takes in how a call ended. id is the atom's, "" where there is none.
type Ended func(backend, id string, err error)

func notObserved(string, string, error) {}

// observe says that a call began. b is nil where its backend is not known.
func (e *Engine) observe(ctx context.Context, op string, b *backend) (context.Context, Ended) {
	ctx = atom.ContextOr(ctx)
	if e.options.Observer == nil {
		return ctx, notObserved
	}
	return e.options.Observer.Call(ctx, op, b.name())
}

// name is the backend's; "" of nil.
func (b *backend) name() string {
	if b == nil {
		return ""
	}
	return b.conf.Name
}

// chosen is the name of the backend that a call of more than one came to.
func chosen(a atom.Atom, err error) (backend, id string) {
	if err == nil {
		backend, _, _ = splitID(a.ID())
		return backend, a.ID()
	}
	if op, ok := err.(*atom.OpError); ok {
		return op.Backend, ""
	}
	return "", ""
}
