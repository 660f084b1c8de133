package testenv

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// Daemon is a Docker daemon of our own: its state, its socket and its
// containerd are in directories that nobody else uses, its bridge is its own, and it
// touches no iptables, so that another daemon on the machine is left alone.
type Daemon struct {
	state, run string
	cmd        *exec.Cmd
	ended      chan struct{}
}

// startTime is how long a daemon may take to answer.
const startTime = 60 * time.Second

// StartDaemon starts a daemon whose state is under state and whose socket is
// under run, a short path, and returns when it answers.
func StartDaemon(ctx context.Context, state, run string) (*Daemon, error) {
	d := &Daemon{state: state, run: run}
	for _, dir := range []string{state, run} {
		if err := os.MkdirAll(dir, 0o711); err != nil {
			return nil, err
		}
	}
	if err := d.Start(ctx); err != nil {
		return nil, errors.Join(err, d.Remove())
	}
	return d, nil
}

// Host is the daemon's DOCKER_HOST.
func (d *Daemon) Host() string { return "unix://" + d.socket() }

func (d *Daemon) socket() string  { return filepath.Join(d.run, "docker.sock") }
func (d *Daemon) pidfile() string { return filepath.Join(d.run, "docker.pid") }

// Start starts the daemon again after Kill; its containers went on meanwhile.
func (d *Daemon) Start(ctx context.Context) error {
	if err := bridgeOf(d.run).add(); err != nil {
		return err
	}
	// Pid files that a killed daemon left may name another process by now, or
	// one that ended and that nobody reaps: its containerd's.
	for _, file := range []string{d.pidfile(), filepath.Join(d.run, "exec", "containerd", "containerd.pid")} {
		if err := os.Remove(file); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	log, err := os.OpenFile(filepath.Join(d.state, "dockerd.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	d.cmd = exec.Command("dockerd",
		"--host", d.Host(), "--pidfile", d.pidfile(), "--data-root", filepath.Join(d.state, "data"),
		"--exec-root", filepath.Join(d.run, "exec"), "--config-file", filepath.Join(d.state, "none.json"),
		"--live-restore", "--bridge", bridgeOf(d.run).name, "--iptables=false", "--ip6tables=false", "--ip-forward=false",
		"--storage-driver", "overlay2")
	d.cmd.Stdout, d.cmd.Stderr = log, log
	// Of a session of its own, it outlives the command that started it.
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := os.WriteFile(filepath.Join(d.state, "none.json"), []byte("{}"), 0o600); err != nil {
		return errors.Join(err, log.Close())
	}
	err = d.cmd.Start()
	log.Close() // the daemon has its own
	if err != nil {
		return fmt.Errorf("starting dockerd: %w", err)
	}
	ended := make(chan struct{})
	d.ended = ended
	go func() { d.cmd.Wait(); close(ended) }() // ends with the daemon
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	for {
		if answers(ctx, d.socket()) {
			return nil
		}
		select {
		case <-ended:
			return fmt.Errorf("dockerd ended at once; the end of its log:\n%s", d.logTail())
		case <-ctx.Done():
			return fmt.Errorf("dockerd does not answer: %w; the end of its log:\n%s", ctx.Err(), d.logTail())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// Kill kills the daemon with SIGKILL, and not its containers.
func (d *Daemon) Kill() error {
	err := d.cmd.Process.Kill()
	<-d.ended
	return err
}

// Signal sends a signal to the daemon, and not to its containers.
func (d *Daemon) Signal(s os.Signal) error { return d.cmd.Process.Signal(s) }

// Containers are the IDs of all containers that the daemon has.
func (d *Daemon) Containers(ctx context.Context) ([]string, error) {
	text, err := getDocker(ctx, d.socket(), "/containers/json?all=1")
	if err != nil {
		return nil, err
	}
	var list []struct{ ID string }
	if err := json.Unmarshal(text, &list); err != nil {
		return nil, err
	}
	var ids []string
	for _, c := range list {
		ids = append(ids, c.ID)
	}
	return ids, nil
}

// Inspect is what the daemon says of a container, as JSON.
func (d *Daemon) Inspect(ctx context.Context, container string) ([]byte, error) {
	return getDocker(ctx, d.socket(), "/containers/"+container+"/json")
}

// Recorded is the output of a container as the daemon has recorded it, both
// streams in one.
func (d *Daemon) Recorded(ctx context.Context, container string) ([]byte, error) {
	text, err := getDocker(ctx, d.socket(), "/containers/"+container+"/logs?stdout=1&stderr=1")
	var out []byte
	// Frames of one byte for the stream, three of nothing, and the length
	// (https://docs.docker.com/reference/api/engine/version/v1.41/#tag/Container/operation/ContainerAttach).
	for err == nil && len(text) >= 8 {
		n := 8 + int(binary.BigEndian.Uint32(text[4:8]))
		if n > len(text) {
			return nil, fmt.Errorf("a frame of %d bytes in the %d of container %s's log", n, len(text), container)
		}
		out, text = append(out, text[8:n]...), text[n:]
	}
	return out, err
}

func (d *Daemon) logTail() string {
	text, err := os.ReadFile(filepath.Join(d.state, "dockerd.log"))
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-2000):])
}

// Remove ends the daemon, its containers and its containerd, and removes all
// that they left: processes, mounts, files. It also does so for one that an
// earlier program started in the same directories, whatever became of it.
func (d *Daemon) Remove() error {
	return errors.Join(endProcesses(d.state, d.run), unmount(d.state, d.run), bridgeOf(d.run).remove(),
		os.RemoveAll(d.run), os.RemoveAll(d.state))
}
