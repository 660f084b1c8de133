package tracing

import (
	"context"
	"errors"

	"github.com/containerd/errdefs"

	"github.com/atom-router/atom-router/atom"
)

// ClassOf names the class of an error: one of a fixed set, "ok" for nil. It
// says nothing of the error's text.
func ClassOf(err error) string {
	var unknown *atom.OutcomeUnknown
	switch {
	case err == nil:
		return "ok"
	case errors.As(err, &unknown):
		return "outcome_unknown"
	}
	switch errdefs.Resolve(err) {
	case errdefs.ErrInvalidArgument:
		return "invalid_argument"
	case errdefs.ErrNotFound:
		return "not_found"
	case errdefs.ErrAlreadyExists:
		return "already_exists"
	case errdefs.ErrPermissionDenied:
		return "permission_denied"
	case errdefs.ErrUnauthenticated:
		return "unauthenticated"
	case errdefs.ErrResourceExhausted:
		return "resource_exhausted"
	case errdefs.ErrFailedPrecondition:
		return "failed_precondition"
	case errdefs.ErrNotImplemented:
		return "not_implemented"
	case errdefs.ErrUnavailable:
		return "unavailable"
	case errdefs.ErrDataLoss:
		return "data_loss"
	case errdefs.ErrInternal:
		return "internal"
	case context.Canceled:
		return "canceled"
	case context.DeadlineExceeded:
		return "deadline_exceeded"
	}
	return "unknown"
}
