package docker

import (
	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"

	"github.com/atom-router/atom-router/atom"
)

// Stop ends the atom and returns when it has stopped. A Force cuts short the
// grace of a Stop under way. One that never started has nothing to end:
// FailedPrecondition, delete it.
func (e *Engine) Stop(r *atom.EngineStopRequest) error {
	ctx := atom.ContextOr(r.Context)
	if r.Timeout < 0 {
		return &atom.FieldError{Field: "timeout", Reason: r.Timeout.String() + " is negative"}
	}
	c, err := e.find(ctx, r.ID, r.Owner)
	if err != nil {
		return err
	}
	switch infoOf(c).State {
	case atom.Running:
	case atom.Created:
		return atom.Errorf(errdefs.ErrFailedPrecondition, "the atom has not started, so there is nothing to stop; delete it")
	case atom.Deleting:
		_, err := e.await(ctx, infoOf(c), nil)
		return err
	default:
		return nil
	}
	api, err := e.daemon.connect(ctx)
	if err != nil {
		return err
	}
	e.markStopping(c.ID, true)
	if r.Force {
		err = api.ContainerKill(ctx, c.ID, "SIGKILL")
	} else {
		var options container.StopOptions // nil: what the container was made with
		if r.Timeout > 0 {
			seconds := wholeSeconds(r.Timeout)
			options.Timeout = &seconds
		}
		err = api.ContainerStop(ctx, c.ID, options)
	}
	switch {
	case err == nil, isGone(err), errdefs.IsConflict(err):
		// Stopped, being removed, or not running any more: its end is on
		// record or will be in a moment.
		_, err := e.await(ctx, infoOf(c), nil)
		return err
	case ctx.Err() != nil:
		// The daemon goes on with it.
		return endOf(ctx)
	}
	e.markStopping(c.ID, false)
	return e.daemon.fault(ctx, err)
}
