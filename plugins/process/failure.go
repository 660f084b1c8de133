//go:build linux || darwin

package process

import (
	"errors"
	"syscall"

	"github.com/containerd/errdefs"

	"github.com/atom-router/atom-router/atom"
)

// failure is an error of the machine under us as one of a class: want of
// space, memory or descriptors is ResourceExhausted, so that a router may go
// elsewhere; everything else about the state directory is Unavailable. doing
// says what could not be done.
func failure(doing string, err error) error {
	class := error(errdefs.ErrUnavailable)
	for _, full := range []error{
		syscall.ENOSPC, syscall.EDQUOT, syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.EAGAIN,
	} {
		if errors.Is(err, full) {
			class = errdefs.ErrResourceExhausted
		}
	}
	return atom.Errorf(class, "%s: %w", doing, err)
}

// closedError is what calls end with that a Close of the engine found at work.
func closedError() error {
	return atom.Errorf(errdefs.ErrUnavailable, "the process engine was closed")
}
