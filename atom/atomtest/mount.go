package atomtest

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/atom/container"
)

// mounted runs steps with mounts and compares what they print.
func (e *Env) mounted(ctx context.Context, mounts []container.Mount, want string, args ...string) error {
	r := e.Request(args...)
	r.Spec.Mounts = mounts
	a, out, err := e.Finish(ctx, r)
	if err != nil {
		return err
	}
	if a.Result() != atom.Success {
		return fmt.Errorf("the atom is %s; its output was %q", describe(a), short(out))
	}
	return same(out, []byte(want))
}

// scratch makes a directory of one check's own.
func (e *Env) scratch() (string, error) {
	dir, err := os.MkdirTemp(e.Scratch, "bind")
	if err != nil {
		return "", err
	}
	// The atom's user is another one, perhaps.
	return dir, os.Chmod(dir, 0o777)
}

func mountPromises() []Promise {
	bind := []atom.Capability{atom.CapMountBind}
	volume := func(e *Env, readOnly bool) []container.Mount {
		return []container.Mount{{Type: container.MountTypeVolume, Source: cmp.Or(e.Volume, "atomtest"), Target: "/mnt/volume", ReadOnly: readOnly}}
	}
	return []Promise{
		{"a bind mount shows the host's files and takes writes", bind, func(ctx context.Context, e *Env) error {
			dir, err := e.scratch()
			if err != nil {
				return err
			}
			defer os.RemoveAll(dir)
			if err := os.WriteFile(filepath.Join(dir, "in"), []byte("from the host\n"), 0o644); err != nil {
				return err
			}
			mount := []container.Mount{{Type: container.MountTypeBind, Source: dir, Target: "/mnt/bind"}}
			if err := e.mounted(ctx, mount, "from the host\n", "cat", "/mnt/bind/in", ";", "put", "/mnt/bind/out", "from the atom"); err != nil {
				return err
			}
			got, err := os.ReadFile(filepath.Join(dir, "out"))
			if err != nil {
				return fmt.Errorf("what the atom wrote: %w", err)
			}
			return same(got, []byte("from the atom"))
		}},
		{"a read-only bind mount refuses writes", bind, func(ctx context.Context, e *Env) error {
			dir, err := e.scratch()
			if err != nil {
				return err
			}
			defer os.RemoveAll(dir)
			mount := []container.Mount{{Type: container.MountTypeBind, Source: dir, Target: "/mnt/bind", ReadOnly: true}}
			return e.mounted(ctx, mount, "refused\n", "tryput", "/mnt/bind/out", "x")
		}},
		{"a volume keeps its files from one atom to the next", []atom.Capability{atom.CapMountVolume}, func(ctx context.Context, e *Env) error {
			name := "/mnt/volume/" + atom.NewKey()
			if err := e.mounted(ctx, volume(e, false), "", "put", name, "kept\n"); err != nil {
				return err
			}
			return e.mounted(ctx, volume(e, false), "kept\n", "cat", name)
		}},
		{"a read-only volume refuses writes", []atom.Capability{atom.CapMountVolume}, func(ctx context.Context, e *Env) error {
			return e.mounted(ctx, volume(e, true), "refused\n", "tryput", "/mnt/volume/"+atom.NewKey(), "x")
		}},
		{"a tmpfs is empty and takes writes", []atom.Capability{atom.CapMountTmpfs}, func(ctx context.Context, e *Env) error {
			mount := []container.Mount{{Type: container.MountTypeTmpfs, Target: "/mnt/tmp"}}
			for range 2 {
				r := e.Request("put", "/mnt/tmp/x", "y\n", ";", "cat", "/mnt/tmp/x", ";", "cat", "/mnt/tmp/absent")
				r.Spec.Mounts = mount
				a, out, err := e.Finish(ctx, r)
				if err != nil {
					return err
				}
				if err := ended(a, atom.Failure, 1); err != nil {
					return fmt.Errorf("reading an absent file: %w", err)
				}
				if !strings.HasPrefix(string(out), "y\n") && !strings.HasSuffix(string(out), "\ny\n") {
					return fmt.Errorf("the output is %q", short(out))
				}
			}
			return nil
		}},
		{"several mounts stand side by side", []atom.Capability{atom.CapMountVolume, atom.CapMountTmpfs}, func(ctx context.Context, e *Env) error {
			mounts := append(volume(e, false), container.Mount{Type: container.MountTypeTmpfs, Target: "/mnt/tmp"})
			name := "/mnt/volume/" + atom.NewKey()
			return e.mounted(ctx, mounts, "v\nt\n", "put", name, "v\n", ";", "put", "/mnt/tmp/x", "t\n", ";", "cat", name, ";", "cat", "/mnt/tmp/x")
		}},
	}
}
