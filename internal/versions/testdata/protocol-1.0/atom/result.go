package atom

import "fmt"

// Result is how an atom ended.
type Result string

const (
	// Success is a witnessed exit code 0.
	Success Result = "success"
	// Failure is an exit code other than 0 with no better explanation.
	Failure Result = "failure"
	// StartupFailure is an atom that never ran: no image, no executable, a
	// mount that could not be made.
	StartupFailure Result = "startup_failure"
	// ResourceFailure is an atom that the backend ended for want of
	// resources: out of memory, evicted, never schedulable.
	ResourceFailure Result = "resource_failure"
	// Killed is an end by SIGKILL.
	Killed Result = "killed"
	// Terminated is an end by SIGTERM.
	Terminated Result = "terminated"
	// Unknown is the result of an atom that has not ended, and of one whose
	// end nobody witnessed.
	Unknown Result = "unknown"
)

// ParseResult returns the Result that s names, and Unknown for anything else.
func ParseResult(s string) Result {
	switch r := Result(s); r {
	case Success, Failure, StartupFailure, ResourceFailure, Killed, Terminated:
		return r
	}
	return Unknown
}

// Exit is what a backend recorded of an atom's end. Every engine fills one in
// and takes the Result from it, so that the same end has the same name on all
// backends.
type Exit struct {
	// Code is the exit code as the backend reported it, 128+n for signal n;
	// nil where it has none.
	Code *int
	// NeverStarted is set when the backend says that the process never ran.
	// A program that ran and exited with 126 or 127 did start.
	NeverStarted bool
	// Reclaimed is set when the backend says that it ended the atom, or
	// never placed it, for want of resources: eviction, disruption,
	// unschedulable. It overrides the code.
	Reclaimed bool
	// OutOfMemory is the backend's own out-of-memory flag. It counts only
	// with a code other than 0, and is never inferred from 137.
	OutOfMemory bool
}

// Result names the end that e describes.
func (e Exit) Result() Result {
	switch {
	case e.Reclaimed:
		return ResourceFailure
	case e.NeverStarted:
		return StartupFailure
	case e.Code == nil:
		return Unknown
	case *e.Code == 0:
		return Success
	case *e.Code < 0 || *e.Code > 255:
		return Unknown
	case e.OutOfMemory:
		return ResourceFailure
	case *e.Code == 128+9:
		return Killed
	case *e.Code == 128+15:
		return Terminated
	}
	return Failure
}

// String describes the end in a few words, for messages.
func (e Exit) String() string {
	if e.Code == nil {
		return string(e.Result())
	}
	return fmt.Sprintf("%s (exit code %d)", e.Result(), *e.Code)
}
