// Package container describes how an atom's process is to be run: its
// environment, mounts, resources and limits, in terms that every backend can
// map to its own.
package container

import (
	"maps"
	"slices"
	"time"
)

// Spec is everything about an atom's process beyond image and command. Its
// zero value asks for nothing: the image's own settings hold.
//
// What is true of a fleet and not of a job (service accounts, node selectors,
// registry credentials, networks) has no place here; it belongs in the config
// of a backend.
type Spec struct {
	// Env is added to the image's environment and wins over it. Values
	// arrive as given; nothing is expanded. Keys are not empty and hold
	// neither '=' nor NUL.
	Env map[string]string
	// WorkDir is the absolute directory the process starts in; "" is the
	// image's own.
	WorkDir string
	// Mounts are made visible in the atom's file system. No two share a
	// target.
	Mounts []Mount

	// Entrypoint replaces the image's ENTRYPOINT, and with it the image's
	// CMD. Empty keeps the image's own.
	Entrypoint []string
	// User runs the process as "user", "uid", "user:group" or "uid:gid";
	// "" is the image's own.
	User string
	// Resources are upper limits.
	Resources Resources
	// Labels are kept with the atom and given back with it. Keys under
	// "cloud.caesium" are reserved.
	Labels map[string]string
	// PullPolicy says when the image is fetched; "" is PullIfNotPresent.
	PullPolicy PullPolicy
	// StopTimeout is the grace between SIGTERM and SIGKILL when a Stop names
	// none. Zero is the backend's own; fractions of a second round up.
	StopTimeout time.Duration
}

// HasEnv reports whether the spec sets environment variables.
func (s Spec) HasEnv() bool { return len(s.Env) > 0 }

// HasMounts reports whether the spec mounts anything.
func (s Spec) HasMounts() bool { return len(s.Mounts) > 0 }

// Clone returns a deep copy, so that what a caller does with its Spec
// afterwards has no effect.
func (s Spec) Clone() Spec {
	s.Env = maps.Clone(s.Env)
	s.Mounts = slices.Clone(s.Mounts)
	s.Entrypoint = slices.Clone(s.Entrypoint)
	s.Labels = maps.Clone(s.Labels)
	return s
}

// Resources are upper limits of what the atom may use. Zero sets none.
type Resources struct {
	// CPU is in cores: 0.5 is half of one.
	CPU float64
	// Memory is in bytes.
	Memory int64
	// GPUs is a number of whole devices.
	GPUs int
}

// PullPolicy says when a backend fetches the image.
type PullPolicy string

const (
	// PullIfNotPresent fetches an image that the backend does not have. It
	// is what "" means.
	PullIfNotPresent PullPolicy = "if-not-present"
	// PullAlways asks the registry each time.
	PullAlways PullPolicy = "always"
	// PullNever fails where the image is not there already.
	PullNever PullPolicy = "never"
)
