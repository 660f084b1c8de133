package atom

import (
	"slices"
	"strings"

	"github.com/atom-router/atom-router/atom/container"
)

// Capability names something that not every engine can do. A router refuses a
// request that needs what the chosen backend lacks; the conformance suite
// skips the promises that need it.
type Capability string

const (
	// CapImages: Image is the file system and default command the atom runs
	// with. Without it, Image is recorded and nothing else, and Command or
	// Entrypoint must name a program.
	CapImages Capability = "images"
	// CapMountBind, CapMountVolume, CapMountTmpfs: mounts of that type.
	// CapBindSource: a bind mount whose source does not exist is a startup
	// failure; without it the backend may make an empty directory of it.
	CapMountBind   Capability = "mount_bind"
	CapBindSource  Capability = "bind_source"
	CapMountVolume Capability = "mount_volume"
	CapMountTmpfs  Capability = "mount_tmpfs"
	// CapUser: Spec.User by number. CapUserNames: by name, too, which the
	// image's /etc/passwd and /etc/group tell the numbers of.
	CapUser      Capability = "user"
	CapUserNames Capability = "user_names"
	// CapCPU, CapMemory, CapGPUs: limits of that resource. CapOOM: an
	// out-of-memory kill is seen as ResourceFailure; without it, as Killed.
	CapCPU    Capability = "cpu"
	CapMemory Capability = "memory"
	CapGPUs   Capability = "gpus"
	CapOOM    Capability = "oom"
	// CapExactBytes: logs keep invalid UTF-8, NUL, and a carriage return
	// before a newline.
	CapExactBytes Capability = "exact_bytes"
	// CapLogTimes: the times of a log are exact to the nanosecond, and so is
	// Since; without it, to whole seconds, rounded down.
	CapLogTimes Capability = "log_times"
	// CapLogStreams: logs tell stdout and stderr apart.
	CapLogStreams Capability = "log_streams"
	// CapLogsAfterKill: logs stay readable after a Stop with Force or with a
	// Timeout of its own.
	CapLogsAfterKill Capability = "logs_after_kill"
	// CapStopEscalation: a Stop with Force cuts short the grace of one that
	// is under way.
	CapStopEscalation Capability = "stop_escalation"
	// CapDelete: the engine is a Deleter.
	CapDelete Capability = "delete"
	// CapLookup: the engine is a Lookuper, and Create under a Key is exactly
	// once.
	CapLookup Capability = "lookup"
	// CapDurable: atoms outlive the process of the engine that made them, and
	// all engines with one config see the same ones. Without it a plugin that
	// dies takes its atoms along.
	CapDurable Capability = "durable"
)

// Capabilities is a set of capabilities. Its order means nothing.
type Capabilities []Capability

// Has reports whether c is in the set.
func (cs Capabilities) Has(c Capability) bool { return slices.Contains(cs, c) }

// Missing returns those of needs that are not in the set, in their order.
func (cs Capabilities) Missing(needs []Capability) []Capability {
	var missing []Capability
	for _, n := range needs {
		if !cs.Has(n) {
			missing = append(missing, n)
		}
	}
	return missing
}

// Needs returns the capabilities that an engine must have to honour r.
func (r *EngineCreateRequest) Needs() []Capability {
	var needs []Capability
	add := func(want bool, c Capability) {
		if want && !slices.Contains(needs, c) {
			if needs == nil {
				needs = make([]Capability, 0, 10) // all that there may be
			}
			needs = append(needs, c)
		}
	}
	for _, m := range r.Spec.Mounts {
		add(m.Type == container.MountTypeBind, CapMountBind)
		add(m.Type == container.MountTypeVolume, CapMountVolume)
		add(m.Type == container.MountTypeTmpfs, CapMountTmpfs)
	}
	add(r.Spec.User != "", CapUser)
	add(strings.Trim(r.Spec.User, "0123456789:") != "", CapUserNames)
	add(r.Spec.Resources.CPU != 0, CapCPU)
	add(r.Spec.Resources.Memory != 0, CapMemory)
	add(r.Spec.Resources.GPUs != 0, CapGPUs)
	add(r.Key != "", CapLookup)
	return needs
}
