package docker

import (
	"maps"
	"math"
	"slices"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"

	"github.com/atom-router/atom-router/atom"
	spec "github.com/atom-router/atom-router/atom/container"
)

// configFor is what a container for r runs.
func (e *Engine) configFor(r *atom.EngineCreateRequest, now time.Time) *container.Config {
	stop := e.settings.stopTimeout
	if r.Spec.StopTimeout > 0 {
		stop = r.Spec.StopTimeout
	}
	seconds := wholeSeconds(stop)
	env := maps.Clone(e.settings.Env)
	if env == nil {
		env = make(map[string]string, len(r.Spec.Env))
	}
	maps.Copy(env, r.Spec.Env)
	c := &container.Config{
		Image:       r.Image,
		Cmd:         r.Command,
		Entrypoint:  r.Spec.Entrypoint, // alone it drops the image's CMD, which is what the contract wants
		WorkingDir:  r.Spec.WorkDir,
		User:        r.Spec.User,
		Labels:      e.labelsFor(r, now),
		StopTimeout: &seconds,
	}
	for _, k := range slices.Sorted(maps.Keys(env)) {
		c.Env = append(c.Env, k+"="+env[k])
	}
	return c
}

// hostConfigFor is what the machine grants a container for r.
func (e *Engine) hostConfigFor(r *atom.EngineCreateRequest) *container.HostConfig {
	driver, options := e.logConfig()
	h := &container.HostConfig{
		NetworkMode:   container.NetworkMode(e.settings.Network),
		Runtime:       e.settings.Runtime,
		ExtraHosts:    e.settings.ExtraHosts,
		RestartPolicy: container.RestartPolicy{Name: container.RestartPolicyDisabled},
		LogConfig:     container.LogConfig{Type: driver, Config: options},
	}
	for _, m := range r.Spec.Mounts {
		// Of Docker's two ways only mounts refuse a source that is not
		// there; binds make an empty directory of it.
		out := mount.Mount{Source: m.Source, Target: m.Target, ReadOnly: m.ReadOnly}
		switch m.Type {
		case spec.MountTypeBind:
			out.Type = mount.TypeBind
		case spec.MountTypeVolume:
			out.Type = mount.TypeVolume
		case spec.MountTypeTmpfs:
			out.Type = mount.TypeTmpfs
		}
		h.Mounts = append(h.Mounts, out)
	}
	res := r.Spec.Resources
	h.NanoCPUs = int64(math.Round(res.CPU * 1e9))
	if res.Memory > 0 {
		h.Memory = res.Memory
		h.MemorySwap = res.Memory // as much swap again would be Docker's default: no limit in effect
	}
	if res.GPUs > 0 {
		h.DeviceRequests = []container.DeviceRequest{{Count: res.GPUs, Capabilities: [][]string{{"gpu"}}}}
	}
	return h
}

// logConfig is how the daemon is to keep the output: as the config says, or as
// its kind does best.
func (e *Engine) logConfig() (driver string, options map[string]string) {
	switch {
	case e.settings.LogDriver != "":
		driver = e.settings.LogDriver
	case e.daemon.podman.Load():
		driver = podmanLogDriver
	default:
		driver = defaultLogDriver
	}
	return driver, e.settings.logOptions(driver)
}
