package plugin

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/containerd/errdefs"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/atom-router/atom-router/atom"
)

func TestErrorsSurviveTheWire(t *testing.T) {
	for class := range codeOf {
		t.Run(class.Error(), func(t *testing.T) {
			sent := fmt.Errorf("asking the daemon: %w", atom.Errorf(class, "the daemon says %d", 7))
			got := errorFromWire(t.Context(), errorToWire(sent))
			if !errors.Is(got, class) {
				t.Errorf("%v is not %v any more", got, class)
			}
			if got.Error() != "asking the daemon: the daemon says 7" {
				t.Errorf("the message became %q", got)
			}
		})
	}
}

func TestErrorDetailsSurviveTheWire(t *testing.T) {
	two := atom.Errorf(errdefs.ErrInvalidArgument, "%w", errors.Join(
		&atom.FieldError{Field: "tls.ca", Reason: "is no file"}, &atom.FieldError{Field: "host", Reason: "is empty"}))
	got := errorFromWire(t.Context(), errorToWire(two))
	fields := atom.AsFieldErrors(got)
	if len(fields) != 2 || *fields[0] != (atom.FieldError{Field: "tls.ca", Reason: "is no file"}) || fields[1].Field != "host" {
		t.Errorf("the fields became %v", fields)
	}
	if !errdefs.IsInvalidArgument(got) || got.Error() != two.Error() {
		t.Errorf("the error became %v", got)
	}

	sent := &atom.OutcomeUnknown{Key: "k-1", Err: errors.New("the connection broke")}
	got = errorFromWire(t.Context(), errorToWire(fmt.Errorf("creating: %w", sent)))
	var unknown *atom.OutcomeUnknown
	if !errors.As(got, &unknown) || unknown.Key != "k-1" || unknown.Err.Error() != "the connection broke" {
		t.Errorf("the unknown outcome became %v", got)
	}
	if !errdefs.IsUnavailable(got) {
		t.Errorf("%v is not Unavailable", got)
	}
}

func TestInvalidTextDoesNotBreakErrors(t *testing.T) {
	got := errorFromWire(t.Context(), errorToWire(atom.Errorf(errdefs.ErrNotFound, "no file \xff\xfe")))
	if !errdefs.IsNotFound(got) || got.Error() != "no file \uFFFD" {
		t.Errorf("got %v", got)
	}
}

func TestTransportErrors(t *testing.T) {
	if err := errorFromWire(t.Context(), status.Error(codes.Unavailable, "connection refused")); !errdefs.IsUnavailable(err) {
		t.Errorf("a broken connection is %v", err)
	}
	// gRPC's own ResourceExhausted is a message that is too large. Taken for a
	// full backend, the request would go round all of them.
	if err := errorFromWire(t.Context(), status.Error(codes.ResourceExhausted, "larger than max")); errdefs.IsResourceExhausted(err) {
		t.Errorf("a large message is %v", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := errorFromWire(ended, status.Error(codes.Unavailable, "broken")); !errors.Is(err, context.Canceled) {
		t.Errorf("the caller's end is %v", err)
	}
}
