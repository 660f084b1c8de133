package router

import (
	"strings"

	"github.com/atom-router/atom-router/atom"
)

// idSeparator ends the backend's name in an ID. What follows it is the
// engine's own and may hold anything, this character included.
const idSeparator = ":"

// joinID is the ID under which the router's callers know the atom that
// backend calls native.
func joinID(backend, native string) string { return backend + idSeparator + native }

// splitID takes apart what joinID wrote. Its errors are *atom.FieldErrors
// that quote at most a few characters of id.
func splitID(id string) (backend, native string, err error) {
	if err := atom.ValidateID(id); err != nil {
		return "", "", err
	}
	backend, native, found := strings.Cut(id, idSeparator)
	switch {
	case !found:
		return "", "", &atom.FieldError{Field: "id", Reason: quote(id) + " has no ':'; an ID is BACKEND:NAME, as create and list print it"}
	case backend == "":
		return "", "", &atom.FieldError{Field: "id", Reason: quote(id) + " names no backend before its ':'"}
	case native == "":
		return "", "", &atom.FieldError{Field: "id", Reason: quote(id) + " names no atom after its ':'"}
	}
	return backend, native, nil
}
