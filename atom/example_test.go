package atom_test

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/containerd/errdefs"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/atom/atomtest/memengine"
)

// A job's whole life, on whichever engine: here one in memory, whose programs
// print and exit.
func Example() {
	var engine interface {
		atom.Engine
		atom.Deleter
	} = memengine.New()
	create := &atom.EngineCreateRequest{
		Key: "nightly-2026-01-02", Image: memengine.Image, Command: []string{"print", "hello", ";", "exit", "3"},
	}
	a, err := engine.Create(create)
	if err != nil {
		fmt.Println(err)
		return
	}
	again, _ := engine.Create(create) // the same key is the same atom
	fmt.Println(again.ID() == a.ID())

	logs, err := engine.Logs(&atom.EngineLogsRequest{ID: a.ID()})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer logs.Close()
	_ = atom.CopyLogs(os.Stdout, os.Stderr, logs)

	a, _ = engine.Wait(&atom.EngineWaitRequest{ID: a.ID()})
	fmt.Println(a.State(), a.Result())
	if coder, ok := a.(atom.ExitCoder); ok {
		fmt.Println("exit code", *coder.ExitCode())
	}

	_ = engine.Delete(&atom.EngineDeleteRequest{ID: a.ID()})
	_, err = engine.Get(&atom.EngineGetRequest{ID: a.ID()})
	fmt.Println(errdefs.IsNotFound(err))
	// Output:
	// true
	// hello
	// stopped failure
	// exit code 3
	// true
}

// An error has a class, which survives wrapping and a plugin's wire, and may
// name the fields that are wrong.
func ExampleFieldError() {
	err := fmt.Errorf("reading the queue: %w", &atom.FieldError{Field: "spec.workdir", Reason: "must be absolute"})
	fmt.Println(errdefs.IsInvalidArgument(err))
	for _, f := range atom.AsFieldErrors(err) {
		fmt.Println(f.Field, f.Reason)
	}
	// Output:
	// true
	// spec.workdir must be absolute
}

// Where it is not known whether a Create made its atom, the error has the key
// to ask again with.
func ExampleOutcomeUnknown() {
	var err error = &atom.OutcomeUnknown{Key: "nightly-2026-01-02", Err: io.ErrUnexpectedEOF}
	var unknown *atom.OutcomeUnknown
	if errors.As(err, &unknown) {
		fmt.Println("again with", unknown.Key, errdefs.IsUnavailable(err))
	}
	// Output: again with nightly-2026-01-02 true
}
