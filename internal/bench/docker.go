package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"time"

	"github.com/docker/docker/client"

	"github.com/atom-router/atom-router/router"
)

// dockerSide is a real Docker daemon, reached straight and through the router.
type dockerSide struct {
	straight *client.Client
	router   *router.Engine
	image    string
	dir      string
}

func startDocker(ctx context.Context) (*dockerSide, error) {
	image := os.Getenv("ATOM_TEST_IMAGE")
	if os.Getenv("DOCKER_HOST") == "" || image == "" {
		return nil, fmt.Errorf("%w: DOCKER_HOST and ATOM_TEST_IMAGE are not set (source .testenv/env)", errNoEngine)
	}
	straight, err := client.NewClientWithOpts(client.FromEnv, client.WithAPIVersionNegotiation())
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return nil, err
	}
	d := &dockerSide{straight: straight, image: image, dir: dir}
	if err := buildPlugin(ctx, "docker", dir); err != nil {
		d.stop()
		return nil, err
	}
	// The log file must hold the whole output that is measured.
	if d.router, err = routerOn(ctx, dir, "docker", fmt.Sprintf("host = %q\nlog_max_size = \"1g\"\nlog_max_files = 1", os.Getenv("DOCKER_HOST"))); err != nil {
		d.stop()
		return nil, err
	}
	return d, nil
}

func (d *dockerSide) stop() {
	if d.router != nil {
		d.router.Close()
	}
	d.straight.Close()
	os.RemoveAll(d.dir)
}

// buildPlugin builds a plugin as a release does.
func buildPlugin(ctx context.Context, name, dir string) error {
	return build(ctx, fmt.Sprintf("github.com/atom-router/atom-router/plugins/%s/atom-plugin-%s", name, name), dir)
}

// build builds a program as a release does.
func build(ctx context.Context, pkg, dir string) error {
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-tags=grpcnotrace", "-ldflags=-s -w", "-o", dir, pkg)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("building %s: %w\n%s", pkg, err, out)
	}
	return nil
}

// timed times one call.
func timed(call func() error) (time.Duration, error) {
	start := time.Now()
	err := call()
	return time.Since(start), err
}
