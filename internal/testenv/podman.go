package testenv

import (
	"context"
	"errors"
	"os"
	"path/filepath"
)

// podman is a service of Podman of our own: its state, its socket and its locks are
// in directories that nobody else uses, so that another Podman on the machine
// is left alone.
type podman struct{ state, run string }

// podmanConfig is what containers.conf says. The machine's network is used, as
// jobs need none. That version's Docker API swaps soft and hard limits, so they
// are equal; and they are below what a machine without CAP_SYS_RESOURCE may
// give.
const podmanConfig = `[containers]
netns = "host"
default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
lock_type = "file"
`

// host is the service's address, as a DOCKER_HOST.
func (p podman) host() string { return "unix://" + p.socket() }

func (p podman) socket() string { return filepath.Join(p.run, "podman.sock") }

// start starts the service and returns when it answers.
func (p podman) start(ctx context.Context) error {
	for _, dir := range []string{p.state, p.run} {
		if err := os.MkdirAll(dir, 0o711); err != nil {
			return err
		}
	}
	config := filepath.Join(p.state, "containers.conf")
	if err := os.WriteFile(config, []byte(podmanConfig), 0o644); err != nil {
		return err
	}
	// Its monitors write a file "oom" where they stand.
	c, err := startComponent("podman", []string{
		"env", "--chdir=" + p.state, "CONTAINERS_CONF=" + config,
		"podman", "--root", filepath.Join(p.state, "data"), "--runroot", filepath.Join(p.run, "run"), "--tmpdir", filepath.Join(p.run, "tmp"),
		"--storage-driver", "overlay", "system", "service", "--time", "0", p.host(),
	}, filepath.Join(p.state, "podman.log"))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	return c.await(ctx, func(ctx context.Context) error {
		if !answers(ctx, p.socket()) {
			return errors.New("it does not answer")
		}
		return nil
	})
}

// remove ends the service and its containers, and removes all that they left.
// It also does so for one that an earlier program started.
func (p podman) remove() error {
	containers, _ := filepath.Glob(filepath.Join(p.state, "data/overlay-containers/*"))
	err := errors.Join(endProcesses(p.state, p.run), unmount(p.state, p.run))
	for _, dir := range containers {
		// runc's record of those that nobody ended in good order, and their
		// cgroups.
		id := filepath.Base(dir)
		err = errors.Join(err, os.RemoveAll(filepath.Join("/run/runc", id)))
		removeCgroups("libpod-*" + id)
	}
	if len(containers) > 0 {
		// Where they are empty they are nobody's.
		removeCgroups("conmon")
		removeCgroups("")
	}
	return errors.Join(err, os.RemoveAll(p.run), os.RemoveAll(p.state))
}

// removeCgroups removes empty ones below Podman's, in version 2's tree or in
// version 1's many.
func removeCgroups(pattern string) {
	for _, tree := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/*"} {
		groups, _ := filepath.Glob(filepath.Join(tree, "libpod_parent", pattern))
		for _, group := range groups {
			_ = os.Remove(group)
		}
	}
}
