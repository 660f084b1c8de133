// Atom-plugin-child is a whole engine plugin of atom-router: its atoms are
// child processes, which end with it. The package plugin/driver keeps the
// contract; what is left is to start a thing, to end it, and to tell how it
// ended.
package main

import (
	"cmp"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"time"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/plugin"
	"github.com/atom-router/atom-router/plugin/driver"
)

// config is what stands in the backend's config block.
type config struct {
	Dir string `hcl:"dir,optional" doc:"where atoms without a working directory start" default:"/"`
}

func main() {
	plugin.Serve(plugin.Plugin[config]{
		Name: "child", Version: "0.1.0", Capabilities: driver.Capabilities(),
		New: func(_ context.Context, c config, log plugin.Logger) (atom.Engine, error) {
			log.Info("atoms are children of this process", "dir", cmp.Or(c.Dir, "/"))
			return driver.New(children{c}, driver.Options{}), nil
		},
	})
}

type children struct{ config }

// Start implements driver.Driver.
func (c children) Start(_ context.Context, r *atom.EngineCreateRequest, stdout, stderr io.Writer) (driver.Job, error) {
	args := slices.Concat(r.Spec.Entrypoint, r.Command)
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir, cmd.Env = cmp.Or(r.Spec.WorkDir, c.Dir, "/"), []string{"PATH=" + os.Getenv("PATH")}
	for name, value := range r.Spec.Env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	cmd.Stdout, cmd.Stderr = stdout, stderr
	cmd.WaitDelay = time.Second // then children of its own may keep the pipes
	return child{cmd}, cmd.Start()
}

type child struct{ *exec.Cmd }

// Wait implements driver.Job.
func (c child) Wait() (atom.Exit, error) {
	_ = c.Cmd.Wait() // what it says is in ProcessState, too
	return driver.ExitOf(c.ProcessState), nil
}

// Stop implements driver.Job.
func (c child) Stop(force bool) error {
	signal := syscall.SIGTERM
	if force {
		signal = syscall.SIGKILL
	}
	if err := c.Process.Signal(signal); !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return nil
}
