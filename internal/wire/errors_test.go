package wire

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
			got := ErrorFromWire(t.Context(), ErrorToWire(sent))
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
	got := ErrorFromWire(t.Context(), ErrorToWire(two))
	fields := atom.AsFieldErrors(got)
	if len(fields) != 2 || *fields[0] != (atom.FieldError{Field: "tls.ca", Reason: "is no file"}) || fields[1].Field != "host" {
		t.Errorf("the fields became %v", fields)
	}
	if !errdefs.IsInvalidArgument(got) || got.Error() != two.Error() {
		t.Errorf("the error became %v", got)
	}

	sent := &atom.OutcomeUnknown{Key: "k-1", Err: errors.New("the connection broke")}
	got = ErrorFromWire(t.Context(), ErrorToWire(fmt.Errorf("creating: %w", sent)))
	var unknown *atom.OutcomeUnknown
	if !errors.As(got, &unknown) || unknown.Key != "k-1" || unknown.Err.Error() != "the connection broke" {
		t.Errorf("the unknown outcome became %v", got)
	}
	if !errdefs.IsUnavailable(got) {
		t.Errorf("%v is not Unavailable", got)
	}
}

func TestInvalidTextDoesNotBreakErrors(t *testing.T) {
	got := ErrorFromWire(t.Context(), ErrorToWire(atom.Errorf(errdefs.ErrNotFound, "no file \xff\xfe")))
	if !errdefs.IsNotFound(got) || got.Error() != "no file \uFFFD" {
		t.Errorf("got %v", got)
	}
}

func TestTransportErrors(t *testing.T) {
	if err := ErrorFromWire(t.Context(), status.Error(codes.Unavailable, "connection refused")); !errdefs.IsUnavailable(err) {
		t.Errorf("a broken connection is %v", err)
	}
	if err := ErrorFromWire(t.Context(), status.Error(codes.Canceled, "grpc: the client connection is closing")); !errdefs.IsUnavailable(err) {
		t.Errorf("a connection that is closed under a call is %v", err)
	}
	// gRPC's own ResourceExhausted is a message that is too large. Taken for a
	// full backend, the request would go round all of them.
	if err := ErrorFromWire(t.Context(), status.Error(codes.ResourceExhausted, "larger than max")); errdefs.IsResourceExhausted(err) {
		t.Errorf("a large message is %v", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := ErrorFromWire(ended, status.Error(codes.Unavailable, "broken")); !errors.Is(err, context.Canceled) {
		t.Errorf("the caller's end is %v", err)
	}
}

func TestRoutersErrorsSurviveTheWire(t *testing.T) {
	rejected := &atom.Rejection{Rule: "cuda", Reason: "no GPUs today"}
	unknown := &atom.OutcomeUnknown{Key: "k", Err: errors.New("gone")}
	for _, sent := range []error{
		&atom.OpError{Op: "create", Err: rejected},
		&atom.OpError{Op: "create", Backend: "docker", Err: unknown},
		&atom.OpError{Op: "get", Backend: "docker", ID: "docker:3f9a", Err: atom.Errorf(errdefs.ErrNotFound, "no such atom")},
		rejected,
	} {
		got := ErrorFromWire(t.Context(), ErrorToWire(sent))
		if got.Error() != sent.Error() || errdefs.Resolve(got) != errdefs.Resolve(sent) {
			t.Errorf("%v became %v", sent, got)
		}
		var op, wantOp *atom.OpError
		if errors.As(got, &op) != errors.As(sent, &wantOp) || op != nil && (op.Op != wantOp.Op || op.Backend != wantOp.Backend || op.ID != wantOp.ID) {
			t.Errorf("%v became an error of %+v", sent, op)
		}
		var r *atom.Rejection
		if errors.As(sent, &r) && (!errors.As(got, &r) || r.Rule != "cuda" || r.Reason != rejected.Reason) {
			t.Errorf("%v became a rejection %+v", sent, r)
		}
		var u *atom.OutcomeUnknown
		if errors.As(sent, &u) && (!errors.As(got, &u) || u.Key != "k") {
			t.Errorf("%v became %+v", sent, u)
		}
	}
}

// What the transport says is told as its word, whatever the other end is.
func TestTransportErrorText(t *testing.T) {
	err := ErrorFromWire(t.Context(), status.Error(codes.Unavailable, "EOF"))
	if want := "gRPC: EOF"; err.Error() != want || !errdefs.IsUnavailable(err) {
		t.Errorf("got %v, want %s, which is Unavailable", err, want)
	}
}
