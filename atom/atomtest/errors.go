package atomtest

import (
	"context"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/atom/container"
)

// wrong is a promise that a request is refused as InvalidArgument and that
// nothing comes of it.
func wrong(what string, change func(*atom.EngineCreateRequest)) Promise {
	return Promise{Name: what + " is InvalidArgument and makes nothing", Check: func(ctx context.Context, e *Env) error {
		r := e.Request("sleep", long)
		if e.Capabilities.Has(atom.CapLookup) {
			r = e.keyed("sleep", long)
		}
		r.Name = "wrong " + atom.NewKey()
		change(r)
		key, owner := r.Key, r.Owner
		a, err := e.Create(ctx, r)
		if err := invalid(err); err != nil {
			return fmt.Errorf("create gave %s: %w", describe(a), err)
		}
		if atom.ValidateOwner(owner) != nil || atom.ValidateKey(key) != nil {
			return nil // under these nothing can be asked for either
		}
		return e.nothingLeft(ctx, r)
	}}
}

func errorPromises() []Promise {
	env := func(k, v string) func(*atom.EngineCreateRequest) {
		return func(r *atom.EngineCreateRequest) { r.Spec.Env = map[string]string{k: v} }
	}
	label := func(k string) func(*atom.EngineCreateRequest) {
		return func(r *atom.EngineCreateRequest) {
			labels := map[string]string{k: "x"}
			for k, v := range r.Spec.Labels {
				labels[k] = v
			}
			r.Spec.Labels = labels
		}
	}
	return []Promise{
		wrong("a request without an image", func(r *atom.EngineCreateRequest) { r.Image = "" }),
		wrong("an image that begins with a dash", func(r *atom.EngineCreateRequest) { r.Image = "-x" }),
		wrong("a variable with '=' in its name", env("A=B", "c")),
		wrong("a variable without a name", env("", "c")),
		wrong("a variable with NUL in its value", env("A", "b\x00c")),
		wrong("a variable of invalid UTF-8", env("A", "\xff")),
		wrong("an argument with NUL", func(r *atom.EngineCreateRequest) { r.Command = append(r.Command, "a\x00b") }),
		wrong("an entrypoint that names no program", func(r *atom.EngineCreateRequest) { r.Spec.Entrypoint = []string{"", "x"} }),
		wrong("a relative working directory", func(r *atom.EngineCreateRequest) { r.Spec.WorkDir = "work" }),
		wrong("a mount with a relative target", mounting(container.Mount{Type: container.MountTypeTmpfs, Target: "mnt"})),
		wrong("a mount without a target", mounting(container.Mount{Type: container.MountTypeTmpfs})),
		wrong("a mount over the root", mounting(container.Mount{Type: container.MountTypeTmpfs, Target: "/"})),
		wrong("a mount of a type that is none", mounting(container.Mount{Type: "nfs", Source: "/a", Target: "/mnt"})),
		wrong("a bind mount of a relative source", mounting(container.Mount{Type: container.MountTypeBind, Source: "a", Target: "/mnt"})),
		wrong("a volume with a path for a name", mounting(container.Mount{Type: container.MountTypeVolume, Source: "/a", Target: "/mnt"})),
		wrong("a tmpfs with a source", mounting(container.Mount{Type: container.MountTypeTmpfs, Source: "a", Target: "/mnt"})),
		wrong("two mounts with one target", func(r *atom.EngineCreateRequest) {
			m := container.Mount{Type: container.MountTypeTmpfs, Target: "/mnt"}
			r.Spec.Mounts = []container.Mount{m, m}
		}),
		wrong("a negative limit of memory", func(r *atom.EngineCreateRequest) { r.Spec.Resources.Memory = -1 }),
		wrong("a limit of cpu that is no number", func(r *atom.EngineCreateRequest) { r.Spec.Resources.CPU = math.NaN() }),
		wrong("a negative number of gpus", func(r *atom.EngineCreateRequest) { r.Spec.Resources.GPUs = -1 }),
		wrong("a negative stop timeout", func(r *atom.EngineCreateRequest) { r.Spec.StopTimeout = -time.Second }),
		wrong("a pull policy that is none", func(r *atom.EngineCreateRequest) { r.Spec.PullPolicy = "sometimes" }),
		wrong("a label under cloud.caesium", label(atom.LabelOwner)),
		wrong("the label cloud.caesium itself", label(atom.Label)),
		wrong("a label with a blank in its key", label("a b")),
		wrong("an owner that is none", func(r *atom.EngineCreateRequest) { r.Owner = "not an owner!" }),
		wrong("a key over 1024 bytes", func(r *atom.EngineCreateRequest) { r.Key = strings.Repeat("k", atom.MaxKeyBytes+1) }),
		{Name: "requests that say nothing are errors and no panic", Check: func(ctx context.Context, e *Env) error {
			if _, err := e.Engine.Create(&atom.EngineCreateRequest{}); err == nil {
				return fmt.Errorf("a create of nothing succeeds")
			}
			for op, err := range map[string]error{
				"get":  func() error { _, err := e.Engine.Get(&atom.EngineGetRequest{}); return err }(),
				"wait": func() error { _, err := e.Engine.Wait(&atom.EngineWaitRequest{}); return err }(),
				"stop": e.Engine.Stop(&atom.EngineStopRequest{}),
			} {
				if err := noSuch(err); err != nil {
					return fmt.Errorf("%s: %w", op, err)
				}
			}
			if _, err := e.Engine.List(&atom.EngineListRequest{}); err != nil {
				return fmt.Errorf("list: %w", err)
			}
			return nil
		}},
		{Name: "logs that cannot be given are InvalidArgument", Check: func(ctx context.Context, e *Env) error {
			a, _, err := e.Run(ctx, "print", "x")
			if err != nil {
				return err
			}
			for what, change := range map[string]func(*atom.EngineLogsRequest){
				"a tail of -2":             func(r *atom.EngineLogsRequest) { r.Tail = -2 },
				"a cursor of nobody's":     func(r *atom.EngineLogsRequest) { r.Cursor = "no cursor" },
				"a cursor of 10 KiB":       func(r *atom.EngineLogsRequest) { r.Cursor = strings.Repeat("9", 10<<10) },
				"a stream that is neither": func(r *atom.EngineLogsRequest) { r.Stream = "stdin" },
			} {
				_, err := e.Read(ctx, a.ID(), change)
				if what == "a stream that is neither" && !e.Capabilities.Has(atom.CapLogStreams) {
					err = refused(err)
				} else {
					err = invalid(err)
				}
				if err != nil {
					return fmt.Errorf("%s: %w", what, err)
				}
			}
			return nil
		}},
		{Name: "an error names what it is about in words", Check: func(ctx context.Context, e *Env) error {
			for op, call := range e.byID(ctx) {
				if err := call(e.Owner, "no-such-atom"); err == nil || len(err.Error()) < 8 {
					return fmt.Errorf("%s of an ID that names nothing says %v", op, err)
				}
			}
			return nil
		}},
	}
}
