package docker

import (
	"context"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"

	"github.com/atom-router/atom-router/atom"
)

// Delete removes a stopped atom, or one that never started, with its logs and
// the anonymous volumes of its image. It returns when the atom is gone.
func (e *Engine) Delete(r *atom.EngineDeleteRequest) error {
	ctx := atom.ContextOr(r.Context)
	c, err := e.find(ctx, r.ID, r.Owner)
	if err != nil {
		return err
	}
	switch {
	case c.State.Status == container.StateRemoving:
		return e.awaitRemoval(ctx, c.ID)
	case !r.Force && infoOf(c).State == atom.Running:
		return atom.Errorf(errdefs.ErrFailedPrecondition, "the atom is running; stop it first, or delete it with force")
	}
	api, err := e.daemon.connect(ctx)
	if err != nil {
		return err
	}
	err = api.ContainerRemove(ctx, c.ID, container.RemoveOptions{Force: r.Force, RemoveVolumes: true})
	switch {
	case err == nil, isGone(err):
		e.markStopping(c.ID, false)
		return nil
	case errdefs.IsConflict(err):
		// Either somebody else is removing it, or it has just been started.
		now, lookErr := e.inspect(ctx, c.ID)
		if errdefs.IsNotFound(lookErr) {
			return nil
		}
		removing := lookErr == nil && now.State.Status == container.StateRemoving
		if removing || strings.Contains(daemonText(err), "already in progress") {
			return e.awaitRemoval(ctx, c.ID)
		}
	}
	return e.daemon.fault(ctx, err)
}

// removalGrace is how long a removal may be under way without showing.
const removalGrace = 10 * time.Second

// awaitRemoval returns when a container that is being removed is gone. A
// removal takes moments; one that fails leaves the container dead.
func (e *Engine) awaitRemoval(ctx context.Context, id string) error {
	for deadline := time.Now().Add(removalGrace); ; {
		c, err := e.inspect(ctx, id)
		switch {
		case errdefs.IsNotFound(err):
			return nil
		case err != nil:
			return err
		case c.State.Status != container.StateRemoving && time.Now().After(deadline):
			return atom.Errorf(errdefs.ErrUnavailable, "the daemon gave up removing the container, which is %s now; try again", c.State.Status)
		}
		if err := pause(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
}
