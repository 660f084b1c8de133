package docker

import (
	"strings"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/container"

	"github.com/atom-router/atom-router/atom"
)

// Podman serves Docker's API, and means other things by some of it. What
// differs is here, as found with Podman 4.3.1; what Podman cannot do is left
// out of what Probe answers.

const (
	podmanEngine = "Podman Engine"
	// podmanList is where its own API lists containers: in Docker's way, Podman
	// 4.3 breaks off where a container is removed meanwhile.
	podmanList = "/v4.0.0/libpod/containers/json"
	// podmanLogDriver is the only one of Podman's whose output its API reads
	// back from a file of its own.
	podmanLogDriver = "k8s-file"
	// Of its events these have names of their own. The first is asked for by
	// this one, and then told as "die".
	podmanDied   = "died"
	podmanRemove = "remove"
)

// isPodman recognizes Podman by what it says that it is made of.
func isPodman(v types.Version) bool {
	for _, c := range v.Components {
		if c.Name == podmanEngine {
			return true
		}
	}
	return false
}

// podmanLacks are those of a Docker daemon's capabilities that Podman has not:
//   - it makes a directory where the source of a bind mount is absent;
//   - an out-of-memory kill comes back as 137 and no more;
//   - it gives the times of a log in whole seconds;
//   - a stop holds the container until its grace is over;
//   - it takes requests for GPUs and does nothing about them.
var podmanLacks = atom.Capabilities{atom.CapBindSource, atom.CapOOM, atom.CapLogTimes, atom.CapStopEscalation, atom.CapGPUs}

// volumeTries is more than the new volumes that a container may have.
const volumeTries = 32

// volumeTaken reports whether a create failed as Podman's do where another made
// the same new volume at the same time: Podman looks for it and makes it in two
// steps.
func volumeTaken(err error) bool {
	return err != nil && strings.Contains(err.Error(), "volume already exists")
}

// asDocker tells a container's state in Docker's words. Podman has some of its
// own for moments between two of Docker's.
func asDocker(s *container.State) {
	switch s.Status {
	case "configured", "initialized":
		s.Status = container.StateCreated
	case "stopping":
		s.Status = container.StateRunning
	case "stopped":
		// Its process has ended, and Podman has not tidied up after it; the
		// exit code stands beside the time of the end.
		s.Status = container.StateExited
		if parseTime(s.FinishedAt).IsZero() {
			s.Status = container.StateRunning
		}
	}
}

// nameTaken reports whether a container was not made because another has its
// name, for which Podman has no status code.
func nameTaken(err error) bool {
	return errdefs.IsConflict(err) || strings.Contains(daemonText(err), "that name is already in use")
}

// isGone reports whether there is no such thing, as Podman also says with
// status 500 of a container that is removed while it is asked about.
func isGone(err error) bool {
	return errdefs.IsNotFound(err) || strings.HasSuffix(daemonText(err), "does not exist in database: no such container")
}
