package atomtest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/atom/atomtest/internal/steps"
	"github.com/atom-router/atom-router/atom/container"
)

// info runs the probe's `info` with a changed request.
func (e *Env) info(ctx context.Context, change func(*atom.EngineCreateRequest)) (steps.Info, error) {
	var info steps.Info
	r := e.Request("info")
	change(r)
	a, out, err := e.Finish(ctx, r)
	if err != nil {
		return info, err
	}
	if a.Result() != atom.Success {
		return info, fmt.Errorf("the job ended with %s; its output was %q", describe(a), short(out))
	}
	if err := json.Unmarshal(out, &info); err != nil {
		return info, fmt.Errorf("reading what the probe said, %q: %w", short(out), err)
	}
	return info, nil
}

// informed is a promise about what the process finds.
func informed(name string, needs []atom.Capability, change func(*atom.EngineCreateRequest), check func(steps.Info) error) Promise {
	return Promise{name, needs, func(ctx context.Context, e *Env) error {
		info, err := e.info(ctx, change)
		if err != nil {
			return err
		}
		return check(info)
	}}
}

// tricky are values that some shell, template or backend would change.
func tricky() []string {
	return []string{
		"", " ", " x ", "a b", "$HOME", "${HOME}", "$(HOME)", "$(A)", "$$", "$$(A)", "$$$$", "$", "$(", "%A%", "{{.A}}", "`id`", "a;b|c&d>e", "*", "~", "\\", "\\n",
		`"double"`, "'single'", "line one\nline two\n", "tab\there", "cr\r\n", "größer ∀ 日本 🙂", "--flag=1", "=", "a=b=c", "#", strings.Repeat("long ", 4000),
	}
}

func specPromises() []Promise {
	images := []atom.Capability{atom.CapImages}
	return []Promise{
		{"a command keeps the image's entrypoint", images, func(ctx context.Context, e *Env) error {
			r := e.Request()
			r.Command = []string{"args", "a", "b"}
			_, out, err := e.Finish(ctx, r)
			if err != nil {
				return err
			}
			return same(out, []byte(`["a","b"]`+"\n"))
		}},
		{"without command and entrypoint the image's own run", images, func(ctx context.Context, e *Env) error {
			r := e.Request()
			r.Command = nil
			_, out, err := e.Finish(ctx, r)
			if err != nil {
				return err
			}
			return same(out, []byte(imageCommandLine))
		}},
		{"an entrypoint replaces the image's, and its command with it", images, func(ctx context.Context, e *Env) error {
			r := e.Request()
			r.Command, r.Spec.Entrypoint = nil, []string{e.program()}
			_, out, err := e.Finish(ctx, r)
			if err != nil {
				return err
			}
			return same(out, []byte(steps.DefaultLine))
		}},
		{Name: "the command follows the entrypoint", Check: func(ctx context.Context, e *Env) error {
			r := e.Request()
			r.Spec.Entrypoint, r.Command = []string{e.program(), "args", "a"}, []string{"b", "c"}
			_, out, err := e.Finish(ctx, r)
			if err != nil {
				return err
			}
			return same(out, []byte(`["a","b","c"]`+"\n"))
		}},
		{Name: "arguments arrive as given", Check: func(ctx context.Context, e *Env) error {
			want := tricky()
			r := e.Request(append([]string{"args"}, want...)...)
			r.Spec.Env = map[string]string{"A": "expanded"}
			return e.args(ctx, r, want)
		}},
		{Name: "an entrypoint's arguments arrive as given", Check: func(ctx context.Context, e *Env) error {
			want := tricky()
			r := e.Request()
			r.Command, r.Spec.Entrypoint = nil, append([]string{e.program(), "args"}, want...)
			r.Spec.Env = map[string]string{"A": "expanded"}
			return e.args(ctx, r, want)
		}},
		{Name: "variables arrive as given", Check: func(ctx context.Context, e *Env) error {
			want := map[string]string{"A": "a", "lower.dotted-key": "x"}
			for i, v := range tricky() {
				want[fmt.Sprintf("TRICKY_%d", i)] = v
			}
			info, err := e.info(ctx, func(r *atom.EngineCreateRequest) { r.Spec.Env = want })
			if err != nil {
				return err
			}
			for k, v := range want {
				if got, ok := info.Env[k]; !ok || got != v {
					return fmt.Errorf("%s is %q (set: %v); want %q", k, short([]byte(got)), ok, short([]byte(v)))
				}
			}
			return nil
		}},
		informed("variables win over the image's", images,
			func(r *atom.EngineCreateRequest) { r.Spec.Env = map[string]string{imageEnvKey: "mine"} },
			func(i steps.Info) error { return equal(imageEnvKey, i.Env[imageEnvKey], "mine") }),
		informed("the image's other variables stay", images,
			func(r *atom.EngineCreateRequest) { r.Spec.Env = map[string]string{"MINE": "1"} },
			func(i steps.Info) error { return equal(imageEnvKey, i.Env[imageEnvKey], imageEnvValue) }),
		informed("the working directory is the one asked for", nil,
			func(r *atom.EngineCreateRequest) { r.Spec.WorkDir = "/" },
			func(i steps.Info) error { return equal("the working directory", i.Cwd, "/") }),
		informed("without a working directory the image's holds", images,
			func(*atom.EngineCreateRequest) {},
			func(i steps.Info) error { return equal("the working directory", i.Cwd, imageWorkDir) }),
		informed("the user is the one asked for, by number", []atom.Capability{atom.CapUser},
			func(r *atom.EngineCreateRequest) { r.Spec.User = "1234:2345" },
			func(i steps.Info) error { return equal("the user", fmt.Sprint(i.UID, i.GID), "1234 2345") }),
		informed("the user is the one asked for, by name", []atom.Capability{atom.CapUser, atom.CapUserNames, atom.CapImages},
			func(r *atom.EngineCreateRequest) { r.Spec.User = imageUser },
			func(i steps.Info) error { return equal("the user", fmt.Sprint(i.UID, i.GID), "1000 1000") }),
		{"limits of cpu are taken", []atom.Capability{atom.CapCPU}, func(ctx context.Context, e *Env) error {
			return e.succeeds(ctx, func(r *atom.EngineCreateRequest) { r.Spec.Resources.CPU = 0.5 })
		}},
		{"limits of memory are taken", []atom.Capability{atom.CapMemory}, func(ctx context.Context, e *Env) error {
			return e.succeeds(ctx, func(r *atom.EngineCreateRequest) { r.Spec.Resources.Memory = 128 << 20 })
		}},
		{Name: "what the engine cannot do is refused, not dropped", Check: checkRefused},
		{Name: "an image that is there is not fetched under the policy never", Check: func(ctx context.Context, e *Env) error {
			return e.succeeds(ctx, func(r *atom.EngineCreateRequest) { r.Spec.PullPolicy = container.PullNever })
		}},
	}
}

func (e *Env) succeeds(ctx context.Context, change func(*atom.EngineCreateRequest)) error {
	r := e.Request("print", "x")
	change(r)
	a, out, err := e.Finish(ctx, r)
	if err != nil {
		return err
	}
	if a.Result() != atom.Success {
		return fmt.Errorf("the atom is %s", describe(a))
	}
	return same(out, []byte("x\n"))
}

// args checks what a job that runs `args` prints.
func (e *Env) args(ctx context.Context, r *atom.EngineCreateRequest, want []string) error {
	a, out, err := e.Finish(ctx, r)
	if err != nil {
		return err
	}
	var got []string
	if err := json.Unmarshal(bytes.TrimSpace(out), &got); err != nil {
		return fmt.Errorf("the job is %s and printed %q: %w", describe(a), short(out), err)
	}
	if !slices.Equal(got, want) {
		for i := range min(len(got), len(want)) {
			if got[i] != want[i] {
				return fmt.Errorf("argument %d is %q; want %q", i, short([]byte(got[i])), short([]byte(want[i])))
			}
		}
		return fmt.Errorf("%d arguments arrived; want %d", len(got), len(want))
	}
	return nil
}

func equal(what, got, want string) error {
	if got != want {
		return fmt.Errorf("%s is %q; want %q", what, got, want)
	}
	return nil
}

// refused says whether err refuses a request for what the engine cannot do.
// Routers find no backend for it.
func refused(err error) error {
	return class(err, "NotImplemented, InvalidArgument or FailedPrecondition", isRefusal)
}

func checkRefused(ctx context.Context, e *Env) error {
	for _, c := range []struct {
		need   atom.Capability
		change func(*atom.EngineCreateRequest)
	}{
		{atom.CapUser, func(r *atom.EngineCreateRequest) { r.Spec.User = "1234" }},
		{atom.CapUserNames, func(r *atom.EngineCreateRequest) { r.Spec.User = imageUser }},
		{atom.CapCPU, func(r *atom.EngineCreateRequest) { r.Spec.Resources.CPU = 1 }},
		{atom.CapMemory, func(r *atom.EngineCreateRequest) { r.Spec.Resources.Memory = 64 << 20 }},
		{atom.CapGPUs, func(r *atom.EngineCreateRequest) { r.Spec.Resources.GPUs = 1 }},
		{atom.CapMountBind, mounting(container.Mount{Type: container.MountTypeBind, Source: "/tmp", Target: "/mnt"})},
		{atom.CapMountVolume, mounting(container.Mount{Type: container.MountTypeVolume, Source: "v", Target: "/mnt"})},
		{atom.CapMountTmpfs, mounting(container.Mount{Type: container.MountTypeTmpfs, Target: "/mnt"})},
	} {
		if e.Capabilities.Has(c.need) {
			continue
		}
		r := e.Request("sleep", long)
		c.change(r)
		a, err := e.Create(ctx, r)
		if err := refused(err); err != nil {
			return fmt.Errorf("a request that needs %q, which the engine lacks, gave %s: %w", c.need, describe(a), err)
		}
	}
	return nil
}

func mounting(m container.Mount) func(*atom.EngineCreateRequest) {
	return func(r *atom.EngineCreateRequest) { r.Spec.Mounts = []container.Mount{m} }
}
