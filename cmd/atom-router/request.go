package main

import (
	"encoding/csv"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/atom/container"
	"github.com/atom-router/atom-router/router/config"
)

// requestFlags are the flags of run, create and explain, which describe a job.
type requestFlags struct {
	name, workdir, entrypoint, user, cpus, memory, pull, key string
	env, mounts, labels                                      []string
	gpus                                                     int
	stopTimeout                                              time.Duration
}

func (a *app) addRequestFlags(cmd *cobra.Command) *requestFlags {
	r := &requestFlags{}
	f := cmd.Flags()
	f.StringVar(&r.name, "name", "", "a `NAME` for people; two atoms may share one")
	f.StringArrayVarP(&r.env, "env", "e", nil, "set a variable, `K=V`; K alone takes it from your environment")
	f.StringVarP(&r.workdir, "workdir", "w", "", "`DIRECTORY` to start in")
	f.StringArrayVarP(&r.mounts, "mount", "v", nil, "`SRC:DST[:ro]`, or type=bind|volume|tmpfs,source=…,target=…[,readonly]")
	f.StringVar(&r.entrypoint, "entrypoint", "", "`PROGRAM` to run instead of the image's ENTRYPOINT")
	f.StringVar(&r.user, "user", "", "`USER`, uid, user:group or uid:gid")
	f.StringVar(&r.cpus, "cpus", "", "limit of cores, as a `NUMBER`: 1.5, 500m")
	f.StringVar(&r.memory, "memory", "", "limit of memory, as a `SIZE`: 512m, 2Gi")
	f.IntVar(&r.gpus, "gpus", 0, "`NUMBER` of GPUs")
	f.StringArrayVarP(&r.labels, "label", "l", nil, "keep a label `K=V` with the atom")
	f.StringVar(&r.pull, "pull", "", "`WHEN` to fetch the image: if-not-present (default), always or never")
	f.StringVar(&r.key, "key", "", "idempotency `KEY`: the same key finds the atom again instead of making another")
	f.DurationVar(&r.stopTimeout, "stop-timeout", 0, "`GRACE` between SIGTERM and SIGKILL, as 30s")
	a.complete(cmd, "pull", string(container.PullIfNotPresent), string(container.PullAlways), string(container.PullNever))
	// What follows IMAGE is the job's, with or without a "--" before it.
	f.SetInterspersed(false)
	return r
}

// request is the job that flags and arguments describe. Its errors are usage
// errors, all of them at once.
func (r *requestFlags) request(args []string) (*atom.EngineCreateRequest, error) {
	if len(args) == 0 {
		return nil, usage(errors.New("no IMAGE given"))
	}
	command := args[1:]
	if len(command) > 0 && command[0] == "--" {
		command = command[1:]
	}
	req := &atom.EngineCreateRequest{
		Name: r.name, Image: args[0], Command: command, Key: r.key,
		Spec: container.Spec{
			WorkDir: r.workdir, User: r.user, PullPolicy: container.PullPolicy(r.pull), StopTimeout: r.stopTimeout,
			Resources: container.Resources{GPUs: r.gpus},
		},
	}
	if r.entrypoint != "" {
		req.Spec.Entrypoint = []string{r.entrypoint}
	}
	var errs []error
	note := func(flag string, err error) {
		if err != nil {
			errs = append(errs, fmt.Errorf("--%s %w", flag, err))
		}
	}
	var err error
	req.Spec.Env, err = keyValues(r.env, os.LookupEnv)
	note("env", err)
	req.Spec.Labels, err = keyValues(r.labels, nil)
	note("label", err)
	for _, m := range r.mounts {
		mount, err := parseMount(m)
		note("mount", err)
		req.Spec.Mounts = append(req.Spec.Mounts, mount)
	}
	if r.cpus != "" {
		req.Spec.Resources.CPU, err = config.ParseCPU(r.cpus)
		note("cpus", err)
	}
	if r.memory != "" {
		req.Spec.Resources.Memory, err = config.ParseMemory(r.memory)
		note("memory", err)
	}
	if len(errs) == 0 {
		if err := req.Validate(); err != nil {
			errs = append(errs, err)
		}
	}
	if len(errs) > 0 {
		return nil, usage(errors.Join(errs...))
	}
	return req, nil
}

// keyValues reads K=V; K alone is looked up, where that is allowed, and left
// out where it is not there.
func keyValues(list []string, lookup func(string) (string, bool)) (map[string]string, error) {
	if len(list) == 0 {
		return nil, nil
	}
	m := make(map[string]string, len(list))
	for _, kv := range list {
		k, v, found := strings.Cut(kv, "=")
		if k == "" {
			return nil, fmt.Errorf("%q has no name before its '='", kv)
		}
		if !found && lookup == nil {
			return nil, fmt.Errorf("%q is not K=V", kv)
		}
		if !found {
			if v, found = lookup(k); !found {
				continue
			}
		}
		m[k] = v
	}
	return m, nil
}

// parseMount reads both forms of --mount. In the short one a source that is a
// path is bound, and one that is none is a volume, as with docker.
func parseMount(s string) (container.Mount, error) {
	if strings.Contains(s, "target=") || strings.Contains(s, "type=") || strings.Contains(s, "dst=") {
		return parseLongMount(s)
	}
	parts := strings.Split(s, ":")
	m := container.Mount{Type: container.MountTypeBind}
	switch {
	case len(parts) == 3 && (parts[2] == "ro" || parts[2] == "rw"):
		m.ReadOnly = parts[2] == "ro"
	case len(parts) != 2:
		return m, fmt.Errorf("%q is not SRC:DST or SRC:DST:ro", s)
	}
	m.Source, m.Target = parts[0], parts[1]
	if !strings.HasPrefix(m.Source, "/") {
		if strings.HasPrefix(m.Source, ".") || strings.HasPrefix(m.Source, "~") {
			return m, fmt.Errorf("%q: a source path is absolute, since the job may run on another machine", s)
		}
		m.Type = container.MountTypeVolume
	}
	return m, nil
}

func parseLongMount(s string) (container.Mount, error) {
	var m container.Mount
	fields, err := csv.NewReader(strings.NewReader(s)).Read()
	if err != nil {
		return m, fmt.Errorf("%q: %w", s, err)
	}
	for _, field := range fields {
		k, v, found := strings.Cut(field, "=")
		switch {
		case k == "type":
			m.Type = container.MountType(v)
		case k == "source" || k == "src":
			m.Source = v
		case k == "target" || k == "dst" || k == "destination":
			m.Target = v
		case (k == "readonly" || k == "ro") && (!found || v == "true"):
			m.ReadOnly = true
		case (k == "readonly" || k == "ro") && v == "false":
			m.ReadOnly = false
		default:
			return m, fmt.Errorf("%q: %q is none of type=, source=, target=, readonly", s, field)
		}
	}
	if m.Type == "" {
		m.Type = container.MountTypeBind
	}
	return m, nil
}
