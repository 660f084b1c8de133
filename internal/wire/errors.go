package wire

import (
	"context"
	"errors"

	"github.com/containerd/errdefs"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/atom-router/atom-router/atom"
	pb "github.com/atom-router/atom-router/plugin/proto/atomrouter/engine/v1"
)

// codeOf and classOf pair the error classes with gRPC's codes, which say the
// same (https://grpc.io/docs/guides/status-codes/).
var (
	codeOf = map[error]codes.Code{
		errdefs.ErrInvalidArgument:    codes.InvalidArgument,
		errdefs.ErrNotFound:           codes.NotFound,
		errdefs.ErrAlreadyExists:      codes.AlreadyExists,
		errdefs.ErrPermissionDenied:   codes.PermissionDenied,
		errdefs.ErrUnauthenticated:    codes.Unauthenticated,
		errdefs.ErrResourceExhausted:  codes.ResourceExhausted,
		errdefs.ErrFailedPrecondition: codes.FailedPrecondition,
		errdefs.ErrOutOfRange:         codes.OutOfRange,
		errdefs.ErrNotImplemented:     codes.Unimplemented,
		errdefs.ErrUnavailable:        codes.Unavailable,
		errdefs.ErrAborted:            codes.Aborted,
		errdefs.ErrDataLoss:           codes.DataLoss,
		errdefs.ErrInternal:           codes.Internal,
		context.Canceled:              codes.Canceled,
		context.DeadlineExceeded:      codes.DeadlineExceeded,
	}
	classOf = inverse(codeOf)
)

// ErrorToWire is err as a gRPC status that ErrorFromWire makes the same error
// of.
func ErrorToWire(err error) error {
	if err == nil {
		return nil
	}
	code, ok := codeOf[errdefs.Resolve(err)]
	if !ok {
		code = codes.Unknown
	}
	detail := &pb.ErrorDetail{}
	text := err
	if op, ok := err.(*atom.OpError); ok {
		detail.Op, detail.Backend, detail.Id = textToWire(op.Op), textToWire(op.Backend), textToWire(op.ID)
		text = op.Err
	}
	var rejected *atom.Rejection
	if errors.As(err, &rejected) {
		detail.RejectingRule, detail.Rejection = errorText(rejected.Rule), errorText(rejected.Reason)
	}
	var unknown *atom.OutcomeUnknown
	if errors.As(err, &unknown) {
		detail.OutcomeUnknown, detail.Key = true, textToWire(unknown.Key)
		text = unknown.Err
	}
	for _, f := range atom.AsFieldErrors(err) {
		if len(detail.Fields) == maxFields {
			break
		}
		detail.Fields = append(detail.Fields, &pb.FieldError{
			Field: errorText(f.Field), Reason: errorText(f.Reason),
		})
	}
	message := ""
	if text != nil {
		message = errorText(text.Error())
	}
	st := status.New(code, message)
	// The detail is always there: a status without one was not made by an
	// engine but by the transport.
	if with, derr := st.WithDetails(detail); derr == nil {
		st = with
	}
	return st.Err()
}

// An error travels in HTTP headers, which have a limit; and nobody reads more.
const (
	maxErrorText = 8 << 10
	maxFields    = 100
)

func errorText(s string) string {
	if len(s) > maxErrorText {
		s = s[:maxErrorText] + "…"
	}
	return textToWire(s)
}

// ErrorFromWire is the error of a call that failed. Where the call's own
// context has ended, it is the context's; where the transport broke,
// Unavailable.
func ErrorFromWire(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	st, detail := statusOf(err)
	class, ok := classOf[st.Code()]
	if !ok {
		class = errdefs.ErrUnknown
	}
	if detail == nil {
		switch st.Code() {
		case codes.ResourceExhausted:
			// gRPC's word for a message over its limit, not an engine's for a
			// backend that is full.
			class = errdefs.ErrInvalidArgument
		case codes.Canceled:
			// Not by the caller: its connection is being closed
			// (grpc.ErrClientConnClosing).
			class = errdefs.ErrUnavailable
		}
		// At the other end may be a plugin or a daemon.
		return atom.Errorf(class, "gRPC: %s", st.Message())
	}
	remote := &remoteError{message: st.Message(), class: class}
	for _, f := range detail.GetFields() {
		remote.fields = append(remote.fields, &atom.FieldError{Field: f.GetField(), Reason: f.GetReason()})
	}
	err = remote
	switch {
	case detail.GetOutcomeUnknown():
		err = &atom.OutcomeUnknown{Key: detail.GetKey(), Err: remote}
	case detail.GetRejection() != "":
		err = &atom.Rejection{Rule: detail.GetRejectingRule(), Reason: detail.GetRejection()}
	}
	if detail.GetOp() != "" {
		err = &atom.OpError{Op: detail.GetOp(), Backend: detail.GetBackend(), ID: detail.GetId(), Err: err}
	}
	return err
}

// Broken reports whether a call failed without the engine having answered, so
// that what it did is not known.
func Broken(err error) bool {
	_, detail := statusOf(err)
	return detail == nil && status.Code(err) != codes.Unimplemented && status.Code(err) != codes.ResourceExhausted
}

// Unknown reports whether a call failed because the other side has no such
// method, so that it did nothing.
func Unknown(err error) bool {
	_, detail := statusOf(err)
	return detail == nil && status.Code(err) == codes.Unimplemented
}

func statusOf(err error) (*status.Status, *pb.ErrorDetail) {
	st := status.Convert(err)
	for _, d := range st.Details() {
		if detail, ok := d.(*pb.ErrorDetail); ok {
			return st, detail
		}
	}
	return st, nil
}

// remoteError is an error that another process made.
type remoteError struct {
	message string
	class   error
	fields  []error
}

func (e *remoteError) Error() string   { return e.message }
func (e *remoteError) Unwrap() []error { return append([]error{e.class}, e.fields...) }
