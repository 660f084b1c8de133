package docker

import (
	"cmp"
	"encoding/json"
	"maps"
	"strconv"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"

	"github.com/atom-router/atom-router/atom"
)

// labelUser keeps Spec.Labels as JSON. They stand on the container as they
// are, too; but there they cannot be told from the image's and the backend's.
const labelUser = atom.Label + ".labels"

// labelAtom is the value of atom.Label. Events are asked for by both, as
// Podman knows no labels without a value.
const labelAtom = "atom"

// labelImage keeps the request's Image: Podman tells what it made of it.
const labelImage = atom.Label + ".image"

// ours reports whether a container is an atom of owner.
func ours(c container.InspectResponse, owner string) bool {
	got, ok := c.Config.Labels[atom.LabelOwner]
	return ok && got == atom.OwnerOr(owner)
}

// atomOf is the snapshot that a container's description amounts to.
func (e *Engine) atomOf(c container.InspectResponse) atom.Atom {
	info := infoOf(c)
	switch {
	case info.State == atom.Running && e.isStopping(c.ID):
		info.State = atom.Stopping
	case info.State.Done():
		e.markStopping(c.ID, false)
	}
	return atom.New(info, e)
}

// infoOf reads a container's description.
func infoOf(c container.InspectResponse) atom.Info {
	labels := c.Config.Labels
	info := atom.Info{
		ID:        c.ID,
		Name:      labels[atom.LabelName],
		Image:     cmp.Or(labels[labelImage], c.Config.Image),
		Rule:      labels[atom.LabelRule],
		CreatedAt: createdAt(c),
		StartedAt: parseTime(c.State.StartedAt),
		Result:    atom.Unknown,
	}
	if text := labels[labelUser]; text != "" {
		// What is not JSON was not written by us; there is nothing to tell.
		_ = json.Unmarshal([]byte(text), &info.Labels)
	}
	info.State = stateOf(c.State)
	ended := info.State == atom.Stopped || info.State == atom.Deleting && !c.State.Running && !info.StartedAt.IsZero()
	if !ended {
		return info
	}
	// The daemon notes a start when it has heard of it, and an end by when it
	// was: that of a short job may come first.
	if info.StoppedAt = parseTime(c.State.FinishedAt); !info.StoppedAt.IsZero() && info.StoppedAt.Before(info.StartedAt) {
		info.StoppedAt = info.StartedAt
	}
	exit := exitOf(c.State)
	info.ExitCode, info.Result, info.Message = exit.Code, exit.Result(), c.State.Error
	switch {
	case startLost(c.State):
		info.Message = "the Docker daemon died while it started the container and has lost sight of its process, which may run: " + c.State.Error
	case !info.StoppedAt.IsZero() && mayHaveProcess(c.State.Error):
		info.Message = "" // it was lost sight of, and its end was seen
	}
	if info.Message == "" && info.Result == atom.ResourceFailure {
		info.Message = "out of memory: killed by the kernel"
		if c.HostConfig != nil && c.HostConfig.Memory > 0 {
			info.Message += " at the limit of " + strconv.FormatInt(c.HostConfig.Memory, 10) + " bytes"
		}
	}
	return info
}

// stateOf names a container's state. A container that could not be started
// stays "created" on Docker and keeps the reason as its error, and so does one
// that ended after a daemon had begun it that died before it had noted so.
func stateOf(s *container.State) atom.State {
	switch s.Status {
	case container.StateCreated:
		if untouched(s) {
			return atom.Created
		}
		return atom.Stopped
	case container.StateRunning, container.StatePaused, container.StateRestarting:
		return atom.Running
	case container.StateRemoving:
		return atom.Deleting
	case container.StateExited, container.StateDead:
		return atom.Stopped
	}
	return atom.Invalid
}

// untouched reports whether nobody has tried to start a container yet. To
// start any other may be to run it a second time.
func untouched(s *container.State) bool {
	return s.Status == container.StateCreated && parseTime(s.FinishedAt).IsZero() && !startFailed(s)
}

// startFailed reports whether a start was tried, and the daemon knows of no
// process.
func startFailed(s *container.State) bool {
	return parseTime(s.StartedAt).IsZero() && parseTime(s.FinishedAt).IsZero() && (s.Error != "" || s.ExitCode != 0)
}

// startLost reports whether the start failed and there is, or may be, a process
// of which the daemon does not know: it, or its containerd, was killed after it
// had begun the process and before that was noted. It cannot be told to end it.
// It may yet see its end, which a FinishedAt tells.
func startLost(s *container.State) bool { return startFailed(s) && mayHaveProcess(s.Error) }

// mayHaveProcess recognizes the words of a start that failed although there is
// a process, or may be one: containerd's that there is, the daemon's, and those
// of a containerd that was lost on the way.
func mayHaveProcess(text string) bool {
	if _, task, found := strings.Cut(text, "task "); found && strings.Contains(task, ": already exists") {
		return true
	}
	for _, words := range []string{"id already in use", "error reading from server", "transport is closing", "ttrpc: closed", "connection error: desc"} {
		if strings.Contains(text, words) {
			return true
		}
	}
	return false
}

func exitOf(s *container.State) atom.Exit {
	if startLost(s) {
		return atom.Exit{}
	}
	if startFailed(s) {
		return atom.Exit{Code: &s.ExitCode, NeverStarted: true}
	}
	if parseTime(s.FinishedAt).IsZero() {
		// Dead without an end on record: nobody knows how it ended.
		return atom.Exit{}
	}
	return atom.Exit{Code: &s.ExitCode, OutOfMemory: s.OOMKilled}
}

// createdAt is our own record, and the daemon's where that is unreadable.
func createdAt(c container.InspectResponse) time.Time {
	if t, ok := createdLabel(c.Config.Labels); ok {
		return t
	}
	return parseTime(c.Created)
}

func createdLabel(labels map[string]string) (time.Time, bool) {
	ns, err := strconv.ParseInt(labels[atom.LabelCreated], 10, 64)
	return time.Unix(0, ns).UTC(), err == nil
}

// parseTime reads the daemon's times, in whose zone they may be; year 1 is
// its word for never.
func parseTime(text string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil || t.Year() <= 1 {
		return time.Time{}
	}
	return t.UTC()
}

// labelsFor are the labels of the container made for r: the backend's, the
// atom's own, and ours, each over the one before.
func (e *Engine) labelsFor(r *atom.EngineCreateRequest, now time.Time) map[string]string {
	labels := make(map[string]string, len(e.settings.Labels)+len(r.Spec.Labels)+6)
	maps.Copy(labels, e.settings.Labels)
	maps.Copy(labels, r.Spec.Labels)
	labels[atom.Label] = labelAtom
	labels[atom.LabelOwner] = atom.OwnerOr(r.Owner)
	labels[atom.LabelCreated] = strconv.FormatInt(now.UnixNano(), 10)
	labels[atom.LabelHash] = r.Hash()
	labels[labelImage] = r.Image
	if r.Name != "" {
		labels[atom.LabelName] = r.Name
	}
	if r.Rule != "" {
		labels[atom.LabelRule] = r.Rule
	}
	if len(r.Spec.Labels) > 0 {
		// Strings always encode.
		text, _ := json.Marshal(r.Spec.Labels)
		labels[labelUser] = string(text)
	}
	return labels
}
