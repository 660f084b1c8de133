package wire

import (
	"fmt"
	"unicode/utf8"

	"github.com/atom-router/atom-router/atom"
)

// Sendable refuses what the wire cannot carry, before gRPC would in words of
// its own: a protobuf string is UTF-8
// (https://protobuf.dev/programming-guides/proto3/#scalar). It takes fields
// and their values in turn.
func Sendable(fields ...string) error {
	for i := 0; i < len(fields); i += 2 {
		if !utf8.ValidString(fields[i+1]) {
			return &atom.FieldError{Field: fields[i], Reason: fmt.Sprintf("%.64q is not valid UTF-8", fields[i+1])}
		}
	}
	return nil
}

// KnownStream refuses a stream that is neither of the two, nor both.
func KnownStream(s atom.Stream) error {
	if _, ok := StreamToWire[s]; s != "" && !ok {
		return &atom.FieldError{Field: "stream", Reason: fmt.Sprintf("%.64q is none of stdout, stderr", string(s))}
	}
	return nil
}
