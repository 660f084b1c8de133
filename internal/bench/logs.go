package main

import (
	"context"
	"fmt"
	"io"
	"runtime/debug"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/pkg/stdcopy"

	"github.com/atom-router/atom-router/atom"
)

const (
	logMiB  = 256
	logLine = 200
)

// measureLogs reads one job's 256 MiB of 200-byte lines through router and
// plugin, and with the Docker client's own stream demultiplexed, and looks at
// the memory of router and plugin while it does.
func measureLogs(ctx context.Context, rounds int) ([]figure, error) {
	d, err := startDocker(ctx)
	if err != nil {
		return nil, err
	}
	defer d.stop()
	id, err := d.writeLogs(ctx)
	if err != nil {
		return nil, err
	}
	defer d.router.Delete(&atom.EngineDeleteRequest{ID: id, Force: true})
	_, native, _ := strings.Cut(id, ":")

	plugin, err := childNamed("atom-plugin-docker")
	if err != nil {
		return nil, err
	}
	var routerGrowth, pluginGrowth []float64
	var bytes int64
	r, err := alternate(rounds,
		func() (time.Duration, error) {
			return timed(func() error {
				stream, err := d.straight.ContainerLogs(ctx, native, container.LogsOptions{ShowStdout: true, ShowStderr: true})
				if err != nil {
					return err
				}
				defer stream.Close()
				n, err := stdcopy.StdCopy(io.Discard, io.Discard, stream)
				bytes = n
				return err
			})
		},
		func() (time.Duration, error) {
			debug.FreeOSMemory()
			own, theirs := watchMemory(0), watchMemory(plugin)
			took, err := timed(func() error {
				logs, err := d.router.Logs(&atom.EngineLogsRequest{ID: id, NoFollow: true, Context: ctx})
				if err != nil {
					return err
				}
				defer logs.Close()
				counted := &counter{}
				if err := atom.CopyLogs(counted, counted, logs); err != nil {
					return err
				}
				if counted.n != bytes {
					return fmt.Errorf("%d bytes came through the router, %d from the daemon", counted.n, bytes)
				}
				return nil
			})
			routerGrowth = append(routerGrowth, own.growthMiB())
			pluginGrowth = append(pluginGrowth, theirs.growthMiB())
			return took, err
		})
	if err != nil {
		return nil, err
	}
	rate := func(t time.Duration) float64 { return float64(bytes) / (1 << 20) / t.Seconds() }
	return []figure{
		{slug: "ratio", name: "256 MiB of logs in 200-byte lines, throughput / Docker client's stream, demultiplexed", values: r.speeds(), unit: "x", aim: 0.8,
			sides: r, detail: fmt.Sprintf("%.0f MiB/s against %.0f MiB/s", rate(median(r.subject)), rate(median(r.baseline)))},
		{slug: "router", name: "Growth of the router's resident memory meanwhile", values: routerGrowth[1:], unit: "MiB", aim: 16, atMost: true},
		{slug: "plugin", name: "The same of the plugin", values: pluginGrowth[1:], unit: "MiB", aim: 16, atMost: true},
	}, nil
}

// writeLogs runs a job that writes what is to be read, and returns its ID.
func (d *dockerSide) writeLogs(ctx context.Context) (string, error) {
	// The probe numbers its lines; seven digits, a blank and a newline are
	// the rest of each.
	word := strings.Repeat("x", logLine-9)
	a, err := d.router.Create(&atom.EngineCreateRequest{
		Image: d.image, Command: []string{"lines", fmt.Sprint(logMiB << 20 / logLine), "0s", word}, Context: ctx,
	})
	if err != nil {
		return "", err
	}
	a, err = d.router.Wait(&atom.EngineWaitRequest{ID: a.ID(), Context: ctx})
	if err != nil {
		return "", err
	}
	if a.Result() != atom.Success {
		return "", fmt.Errorf("the job that writes ended as %s", a.Result())
	}
	return a.ID(), nil
}

type counter struct{ n int64 }

func (c *counter) Write(p []byte) (int, error) {
	c.n += int64(len(p))
	return len(p), nil
}
