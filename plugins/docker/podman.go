package docker

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"

	"github.com/atom-router/atom-router/atom"
)

// Podman serves Docker's API, and means other things by some of it. What
// differs is here, as found with Podman 4.3.1; what Podman cannot do is left
// out of what Probe answers.

const (
	podmanEngine = "Podman Engine"
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

// podmanList is ContainerList by Podman's own API: by Docker's, Podman 4.3
// breaks off where a container is removed meanwhile.
func (d *daemon) podmanList(ctx context.Context, label string) ([]container.Summary, error) {
	filters, err := json.Marshal(map[string][]string{"label": {label}})
	if err != nil {
		return nil, err
	}
	at, err := client.ParseHostURL(d.endpoint.host)
	if err != nil {
		return nil, err
	}
	at = &url.URL{Scheme: "http", Host: at.Host, Path: "/v4.0.0/libpod/containers/json",
		RawQuery: url.Values{"all": {"true"}, "filters": {string(filters)}}.Encode()}
	if d.endpoint.tls != nil {
		at.Scheme = "https"
	}
	if strings.HasPrefix(d.endpoint.host, "unix://") {
		at.Host = "podman" // its transport knows the way
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
	if err != nil {
		return nil, err
	}
	resp, err := d.transport.RoundTrip(req)
	if err != nil {
		return nil, d.fault(ctx, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 1000))
		return nil, atom.Errorf(errdefs.ErrInternal, "Podman does not list its containers: %s: %s", resp.Status, bytes.TrimSpace(text))
	}
	var found []struct {
		ID     string `json:"Id"`
		Labels map[string]string
	}
	if err := json.NewDecoder(resp.Body).Decode(&found); err != nil {
		return nil, d.fault(ctx, err)
	}
	all := make([]container.Summary, len(found))
	for i, c := range found {
		all[i] = container.Summary{ID: c.ID, Labels: c.Labels}
	}
	return all, nil
}
