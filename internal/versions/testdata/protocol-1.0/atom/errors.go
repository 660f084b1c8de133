package atom

import (
	"errors"
	"fmt"

	"github.com/containerd/errdefs"
)

// Errorf returns an error of the given class (one of errdefs' Err values)
// whose text is the formatted message alone: errdefs.IsNotFound and its
// sisters see the class, people see only the message. A %w in format is
// wrapped as by fmt.Errorf.
func Errorf(class error, format string, args ...any) error {
	return &classified{class: class, err: fmt.Errorf(format, args...)}
}

type classified struct {
	class error
	err   error
}

func (e *classified) Error() string   { return e.err.Error() }
func (e *classified) Unwrap() []error { return []error{e.err, e.class} }

// OutcomeUnknown is the error of a Create that may or may not have made an
// atom: the backend was reached and did not answer. It is Unavailable. The
// same request with the same Key finds the atom or makes it.
//
// Find it with errors.As and a *OutcomeUnknown.
type OutcomeUnknown struct {
	// Key is the idempotency key that the attempt was made under.
	Key string
	// Err says what went wrong.
	Err error
}

func (e *OutcomeUnknown) Error() string {
	return fmt.Sprintf("outcome unknown, try again with key %q: %v", e.Key, e.Err)
}

// Unwrap gives Err, and the class Unavailable.
func (e *OutcomeUnknown) Unwrap() []error { return []error{errdefs.ErrUnavailable, e.Err} }

// FieldError says which field of a request or attribute of a config is wrong.
// It is InvalidArgument.
type FieldError struct {
	// Field is the path of the field, as in "spec.mounts[1].target", or of
	// the attribute, as in "registry_auth[0].server".
	Field string
	// Reason says what is wrong with it and what would be right.
	Reason string
}

func (e *FieldError) Error() string { return e.Field + ": " + e.Reason }

// Unwrap gives the class InvalidArgument.
func (e *FieldError) Unwrap() error { return errdefs.ErrInvalidArgument }

// Rejection is the error of a request that a router's rules refuse, or that
// none of them matched. It is PermissionDenied. Find it with errors.As and a
// *Rejection.
type Rejection struct {
	// Rule is the name of the rule; "default" where none matched.
	Rule   string
	Reason string
}

func (r *Rejection) Error() string {
	if r.Rule == "default" {
		return "rejected: " + r.Reason
	}
	return fmt.Sprintf("rejected by rule %q: %s", r.Rule, r.Reason)
}

// Unwrap gives the class PermissionDenied.
func (r *Rejection) Unwrap() error { return errdefs.ErrPermissionDenied }

// OpError is the one prefix of an error: which operation, on which backend,
// on which atom. Routers write it; engines do not.
type OpError struct {
	Op      string // "create", "get", …
	Backend string // "" where none was chosen
	ID      string // the atom's ID as the caller knows it; "" where there is none
	Err     error
}

func (e *OpError) Error() string {
	s := e.Op
	switch {
	case e.ID != "":
		s += " " + e.ID
	case e.Backend != "":
		s += " on " + e.Backend
	}
	return s + ": " + e.Err.Error()
}

func (e *OpError) Unwrap() error { return e.Err }

// AsFieldErrors returns every *FieldError in err's tree, in order.
func AsFieldErrors(err error) []*FieldError {
	var fields []*FieldError
	var walk func(error)
	walk = func(err error) {
		if err == nil {
			return
		}
		if f, ok := err.(*FieldError); ok {
			fields = append(fields, f)
			return
		}
		switch u := err.(type) {
		case interface{ Unwrap() []error }:
			for _, e := range u.Unwrap() {
				walk(e)
			}
		case interface{ Unwrap() error }:
			walk(errors.Unwrap(err))
		}
	}
	walk(err)
	return fields
}
