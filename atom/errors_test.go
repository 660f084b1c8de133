package atom

import (
	"errors"
	"fmt"
	"io/fs"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"
)

func TestErrorf(t *testing.T) {
	for class, is := range map[error]func(error) bool{
		errdefs.ErrNotFound: errdefs.IsNotFound, errdefs.ErrInvalidArgument: errdefs.IsInvalidArgument, errdefs.ErrAlreadyExists: errdefs.IsAlreadyExists,
		errdefs.ErrPermissionDenied: errdefs.IsPermissionDenied, errdefs.ErrResourceExhausted: errdefs.IsResourceExhausted,
		errdefs.ErrFailedPrecondition: errdefs.IsFailedPrecondition, errdefs.ErrUnavailable: errdefs.IsUnavailable,
		errdefs.ErrNotImplemented: errdefs.IsNotImplemented, errdefs.ErrDataLoss: errdefs.IsDataLoss, errdefs.ErrInternal: errdefs.IsInternal,
	} {
		err := fmt.Errorf("around: %w", Errorf(class, "reading %s: %w", "x", fs.ErrPermission))
		if !is(err) || !errors.Is(err, class) || !errors.Is(err, fs.ErrPermission) {
			t.Errorf("%v lost its class %v, or what it wraps", err, class)
		}
		if got, want := err.Error(), "around: reading x: permission denied"; got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestOutcomeUnknown(t *testing.T) {
	cause := Errorf(errdefs.ErrInternal, "connection reset")
	err := fmt.Errorf("create on docker: %w", &OutcomeUnknown{Key: "k", Err: cause})
	var unknown *OutcomeUnknown
	if !errors.As(err, &unknown) || unknown.Key != "k" || !errdefs.IsUnavailable(err) || !errors.Is(err, cause) {
		t.Errorf("%v", err)
	}
	if got, want := err.Error(), `create on docker: outcome unknown, try again with key "k": connection reset`; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestOpError(t *testing.T) {
	cause := Errorf(errdefs.ErrNotFound, "no such atom")
	for _, c := range []struct {
		err  OpError
		want string
	}{
		{OpError{Op: "list"}, "list: no such atom"},
		{OpError{Op: "create", Backend: "docker"}, "create on docker: no such atom"},
		{OpError{Op: "get", Backend: "docker", ID: "docker:x"}, "get docker:x: no such atom"},
	} {
		c.err.Err = cause
		if got := c.err.Error(); got != c.want || !errdefs.IsNotFound(&c.err) {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

func TestAsFieldErrors(t *testing.T) {
	a, b, c := &FieldError{"a", "1"}, &FieldError{"b", "2"}, &FieldError{"c", "3"}
	err := fmt.Errorf("x: %w", errors.Join(a, errors.New("other"), fmt.Errorf("y: %w", errors.Join(b, Errorf(errdefs.ErrInvalidArgument, "%w", c)))))
	if diff := cmp.Diff([]*FieldError{a, b, c}, AsFieldErrors(err)); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if got := AsFieldErrors(nil); got != nil {
		t.Errorf("of nil: %v", got)
	}
	if !errdefs.IsInvalidArgument(a) || a.Error() != "a: 1" {
		t.Errorf("%v", a)
	}
}
