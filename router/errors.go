package router

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"github.com/containerd/errdefs"

	"github.com/atom-router/atom-router/atom"
)

// opError writes the one prefix of an error. What came from another router
// behind a backend carries one already, which is replaced: IDs nest, prefixes
// do not.
func opError(op, backend, id string, err error) error {
	if err == nil {
		return nil
	}
	if inner, ok := err.(*atom.OpError); ok {
		err = inner.Err
	}
	return &atom.OpError{Op: op, Backend: backend, ID: id, Err: err}
}

// reclassed gives an error another class. What the cause is stays visible to
// errors.As; its own class does not, since it was about something else: a
// plugin binary that is not found does not make an atom NotFound.
type reclassed struct {
	class error
	err   error
}

func (e *reclassed) Error() string      { return e.err.Error() }
func (e *reclassed) Unwrap() error      { return e.class }
func (e *reclassed) As(target any) bool { return errors.As(e.err, target) }

// unavailable is err as a backend's trouble: InvalidArgument where its config
// is wrong, Unavailable otherwise.
func unavailable(err error) error {
	switch errdefs.Resolve(err) {
	case errdefs.ErrInvalidArgument, errdefs.ErrUnavailable:
		return err
	}
	return &reclassed{class: errdefs.ErrUnavailable, err: err}
}

// ended is the error of a call whose ctx may have ended: the context's own
// where it has, whatever the callee made of it.
func ended(ctx context.Context, err error) error {
	if cause := ctx.Err(); cause != nil && !errors.Is(err, cause) {
		return cause
	}
	return err
}

// quote shortens what an error message quotes.
func quote(s string) string {
	const most = 64
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return strconv.Quote(s)
}
