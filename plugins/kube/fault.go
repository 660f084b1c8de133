package kube

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/containerd/errdefs"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/atom-router/atom-router/atom"
)

// fault gives an error of the API server, or on the way to it, its class and
// a text for people. The caller's own end comes first.
func (a *api) fault(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return endOf(ctx)
	}
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		if errdefs.IsUnavailable(err) { // as settled says it
			return err
		}
		return atom.Errorf(errdefs.ErrUnavailable, "the API server at %s cannot be reached: %w", a.server, err)
	}
	s := status.Status()
	class := classOf(s)
	switch {
	case errdefs.IsInvalidArgument(class):
		if fields := fieldErrors(s); fields != nil {
			return fields
		}
	case s.Reason == metav1.StatusReasonNotFound && s.Details != nil && s.Details.Kind == "namespaces":
		return atom.Errorf(errdefs.ErrFailedPrecondition, "the namespace %s does not exist", a.namespace)
	case s.Reason == metav1.StatusReasonUnauthorized:
		return atom.Errorf(class, "the API server at %s does not accept the credentials; they may have expired: %s", a.server, s.Message)
	}
	return atom.Errorf(class, "%s", s.Message)
}

// classOf is the class of what the API server answered
// (k8s.io/apimachinery/pkg/apis/meta/v1, StatusReason).
func classOf(s metav1.Status) error {
	// A webhook's refusal bears what code and reason the webhook chose; that
	// of a ValidatingAdmissionPolicy is Invalid by default.
	if strings.Contains(s.Message, "denied the request") || strings.Contains(s.Message, "denied request") {
		return errdefs.ErrFailedPrecondition
	}
	switch s.Reason {
	case metav1.StatusReasonNotFound:
		return errdefs.ErrNotFound
	case metav1.StatusReasonAlreadyExists:
		return errdefs.ErrAlreadyExists
	case metav1.StatusReasonConflict:
		return errdefs.ErrConflict
	case metav1.StatusReasonUnauthorized:
		return errdefs.ErrPermissionDenied
	case metav1.StatusReasonForbidden:
		switch {
		case strings.Contains(s.Message, "exceeded quota"):
			return errdefs.ErrResourceExhausted
		case strings.Contains(s.Message, "is being terminated"), strings.Contains(s.Message, "violates PodSecurity"):
			return errdefs.ErrFailedPrecondition // admission, which has nothing to do with who asks
		}
		return errdefs.ErrPermissionDenied
	case metav1.StatusReasonInvalid, metav1.StatusReasonBadRequest, metav1.StatusReasonRequestEntityTooLarge:
		return errdefs.ErrInvalidArgument
	case metav1.StatusReasonMethodNotAllowed, metav1.StatusReasonNotAcceptable, metav1.StatusReasonUnsupportedMediaType:
		return errdefs.ErrNotImplemented
	}
	if s.Code >= 400 && s.Code < 500 && s.Code != 408 && s.Code != 410 && s.Code != 429 {
		return errdefs.ErrInternal
	}
	return errdefs.ErrUnavailable // overloaded, starting, or its own backends are away
}

// ourFields are Kubernetes' names of what a request says in its own.
var ourFields = []struct {
	theirs *regexp.Regexp
	ours   string
}{
	{regexp.MustCompile(`^spec\.containers\[\d+\]\.image$`), "image"},
	{regexp.MustCompile(`^spec\.containers\[\d+\]\.env\b`), "spec.env"},
	{regexp.MustCompile(`^spec\.containers\[\d+\]\.workingDir$`), "spec.workDir"},
	{regexp.MustCompile(`^spec\.containers\[\d+\]\.resources\b`), "spec.resources"},
	{regexp.MustCompile(`^spec\.(containers\[\d+\]\.volumeMounts|volumes)\b`), "spec.mounts"},
	{regexp.MustCompile(`^metadata\.labels$`), "spec.labels"},
	{regexp.MustCompile(`^metadata\.annotations$`), "spec.labels"},
}

// fieldErrors are the causes that the API server gives for refusing a pod; nil
// where it gives none.
func fieldErrors(s metav1.Status) error {
	if s.Details == nil {
		return nil
	}
	var errs []error
	for _, c := range s.Details.Causes {
		field, reason := c.Field, c.Message
		for _, f := range ourFields {
			if f.theirs.MatchString(c.Field) {
				field, reason = f.ours, fmt.Sprintf("%s (Kubernetes' %s)", c.Message, c.Field)
				break
			}
		}
		if field == "" {
			field = "request"
		}
		errs = append(errs, &atom.FieldError{Field: field, Reason: reason})
	}
	return errors.Join(errs...)
}

// endOf is why ctx ended: its own error, or that the engine was closed.
func endOf(ctx context.Context) error {
	if cause := context.Cause(ctx); errors.Is(cause, errClosed) {
		return cause
	}
	return ctx.Err()
}

// errClosed is why calls end when their engine does.
var errClosed = atom.Errorf(errdefs.ErrUnavailable, "the engine was closed")
