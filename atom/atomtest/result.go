package atomtest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/atom/container"
)

// ends is a promise about how a job's end is named.
func ends(name string, result atom.Result, code int, args ...string) Promise {
	return Promise{Name: name, Check: func(ctx context.Context, e *Env) error {
		a, _, err := e.Finish(ctx, e.Request(args...))
		if err != nil {
			return err
		}
		return ended(a, result, code)
	}}
}

func resultPromises() []Promise {
	return []Promise{
		ends("exit code 0 is a success", atom.Success, 0, "exit", "0"),
		ends("exit code 1 is a failure", atom.Failure, 1, "exit", "1"),
		ends("exit code 2 is a failure", atom.Failure, 2, "exit", "2"),
		ends("exit code 125 is a failure", atom.Failure, 125, "exit", "125"),
		ends("exit code 126 of a program that ran is a failure", atom.Failure, 126, "exit", "126"),
		ends("exit code 127 of a program that ran is a failure", atom.Failure, 127, "exit", "127"),
		ends("exit code 128 is a failure", atom.Failure, 128, "exit", "128"),
		ends("exit code 255 is a failure", atom.Failure, 255, "exit", "255"),
		ends("an end by SIGHUP is a failure with code 129", atom.Failure, 129, "raise", "HUP"),
		ends("an end by SIGKILL is killed, and no want of memory", atom.Killed, 137, "raise", "KILL"),
		ends("an end by SIGTERM is terminated", atom.Terminated, 143, "raise", "TERM"),
		{"a job out of memory is a resource failure", []atom.Capability{atom.CapMemory, atom.CapOOM}, func(ctx context.Context, e *Env) error {
			r := e.Request("allocate", "512")
			r.Spec.Resources.Memory = 64 << 20
			a, _, err := e.Finish(ctx, r)
			if err != nil {
				return err
			}
			return ended(a, atom.ResourceFailure, 137)
		}},
	}
}

// startup is a promise that a job which cannot start is said to be one.
func startup(name string, needs []atom.Capability, change func(*Env, *atom.EngineCreateRequest)) Promise {
	return Promise{name, needs, func(ctx context.Context, e *Env) error {
		r := e.Request("print", "x")
		if e.Capabilities.Has(atom.CapLookup) {
			r = e.keyed("print", "x")
		}
		r.Name = "never starts " + atom.NewKey()
		change(e, r)
		return e.neverStarts(ctx, r)
	}}
}

// neverStarts accepts both forms of a startup failure, and demands one.
func (e *Env) neverStarts(ctx context.Context, r *atom.EngineCreateRequest) error {
	a, err := e.Create(ctx, r)
	if err != nil {
		if ctx.Err() != nil {
			return err
		}
		return errors.Join(e.nothingLeft(ctx, r), message(err.Error()))
	}
	if a, err = e.Wait(ctx, a.ID()); err != nil {
		return err
	}
	info := atom.InfoOf(a)
	if info.Result != atom.StartupFailure || !info.StartedAt.IsZero() || info.ExitCode != nil {
		return fmt.Errorf("the atom is %s, started at %v, with an exit code: %t; want stopped/startup_failure, never started, and no exit code", describe(a), info.StartedAt, info.ExitCode != nil)
	}
	if err := message(info.Message); err != nil {
		return err
	}
	// Its log is empty and has an end.
	out, err := e.Read(ctx, a.ID(), nil)
	if err != nil {
		return err
	}
	return same(out, nil)
}

func message(text string) error {
	if text == "" {
		return errors.New("nothing says why it did not start")
	}
	return nil
}

// nothingLeft says whether a create that failed left an atom; the request has
// a name, or a key, of its own.
func (e *Env) nothingLeft(ctx context.Context, r *atom.EngineCreateRequest) error {
	if r.Key != "" {
		if a, err := e.lookup(ctx, r.Owner, r.Key); err == nil {
			e.track(a.ID(), r.Owner)
			return fmt.Errorf("a create that failed left the atom %s, %s", a.ID(), describe(a))
		}
	}
	list, err := e.Engine.List(&atom.EngineListRequest{Owner: r.Owner, Since: time.Now().Add(-time.Hour), Context: ctx})
	if err != nil {
		return fmt.Errorf("list: %w", err)
	}
	for _, a := range list {
		if r.Name != "" && atom.InfoOf(a).Name == r.Name {
			e.track(a.ID(), r.Owner)
			return fmt.Errorf("a create that failed left the atom %s, %s", a.ID(), describe(a))
		}
	}
	return nil
}

func startupPromises() []Promise {
	images := []atom.Capability{atom.CapImages}
	bind := []atom.Capability{atom.CapMountBind, atom.CapBindSource}
	program := func(path string) func(*Env, *atom.EngineCreateRequest) {
		return func(_ *Env, r *atom.EngineCreateRequest) { r.Command, r.Spec.Entrypoint = nil, []string{path, "x"} }
	}
	return []Promise{
		startup("a program that does not exist is a startup failure", nil, program("/no/such/program")),
		startup("a program that is not on the path is a startup failure", nil, program("no-such-program-anywhere")),
		startup("a directory in the place of the program is a startup failure", nil, program("/etc")),
		startup("an image that is absent and not to be fetched is a startup failure", images, func(_ *Env, r *atom.EngineCreateRequest) {
			r.Image, r.Spec.PullPolicy = "atomtest.invalid/no/such/image:1", container.PullNever
		}),
		startup("an image that cannot be fetched is a startup failure", images, func(_ *Env, r *atom.EngineCreateRequest) {
			r.Image = "127.0.0.1:1/no/such/image:1"
		}),
		startup("an image's name that is none is a startup failure", images, func(_ *Env, r *atom.EngineCreateRequest) {
			r.Image = "Not/An Image:::"
		}),
		startup("a user that the image does not know is a startup failure", []atom.Capability{atom.CapImages, atom.CapUser, atom.CapUserNames}, func(_ *Env, r *atom.EngineCreateRequest) {
			r.Spec.User = "nobody-by-this-name"
		}),
		startup("a source of a bind mount that does not exist is a startup failure", bind, func(e *Env, r *atom.EngineCreateRequest) {
			r.Spec.Mounts = []container.Mount{{Type: container.MountTypeBind, Source: e.Scratch + "/no/such/directory", Target: "/mnt/bind"}}
		}),
		startup("a limit of memory too small to start in is a startup failure", []atom.Capability{atom.CapMemory}, func(_ *Env, r *atom.EngineCreateRequest) {
			r.Spec.Resources.Memory = 1
		}),
	}
}
