package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/pkg/stdcopy"
	"github.com/hashicorp/go-hclog"
	corev1 "k8s.io/api/core/v1"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/atom/atomtest"
	"github.com/atom-router/atom-router/plugins/docker"
	"github.com/atom-router/atom-router/plugins/process"
	"github.com/atom-router/atom-router/router"
)

const (
	logBytes = 128 << 20
	logLine  = 200
	// podLogBytes is less than a kubelet keeps in one file, and podLogReads how
	// often it is read in a round.
	podLogBytes = 6 << 20
	podLogStamp = 31 // about what a time before a line takes
	podLogReads = 5
)

// measureLogs reads one job's 128 MiB of 200-byte lines from Docker through
// router and plugin, with the engine in this process, and with the Docker
// client's own stream demultiplexed, and looks at the memory of router and
// plugin while it does. Then it reads as much from the process engine, and a
// pod's log beside client-go.
func measureLogs(ctx context.Context, rounds int) ([]figure, error) {
	d, err := startDocker(ctx)
	if err != nil {
		return nil, err
	}
	defer d.stop()
	id, err := writeLogs(ctx, d.router, d.image, "", logBytes)
	if err != nil {
		return nil, err
	}
	defer d.router.Delete(&atom.EngineDeleteRequest{ID: id, Force: true})
	_, native, _ := strings.Cut(id, ":")

	plugin, err := childNamed("atom-plugin-docker")
	if err != nil {
		return nil, err
	}
	engine, err := docker.New(ctx, docker.Config{Host: os.Getenv("DOCKER_HOST")}, hclog.NewNullLogger())
	if err != nil {
		return nil, err
	}
	defer engine.Close()
	var routerGrowth, pluginGrowth []float64
	// Three times as many beside the engines' own clients: daemons and kubelets
	// are not as even as memory.
	r, err := alternate(3*rounds,
		func() (time.Duration, error) {
			return timed(func() error {
				stream, err := d.straight.ContainerLogs(ctx, native, container.LogsOptions{ShowStdout: true, ShowStderr: true})
				if err != nil {
					return err
				}
				defer stream.Close()
				n, err := stdcopy.StdCopy(io.Discard, io.Discard, stream)
				return errors.Join(err, whole(n, logBytes))
			})
		},
		func() (time.Duration, error) {
			debug.FreeOSMemory()
			own, theirs := watchMemory(0), watchMemory(plugin)
			took, err := timed(func() error { return readLogs(ctx, d.router, id, logBytes) })
			routerGrowth = append(routerGrowth, own.growthMiB())
			pluginGrowth = append(pluginGrowth, theirs.growthMiB())
			return took, err
		})
	if err != nil {
		return nil, err
	}
	near, err := alternate(rounds,
		func() (time.Duration, error) {
			return timed(func() error { return readLogs(ctx, engine, native, logBytes) })
		},
		func() (time.Duration, error) {
			return timed(func() error { return readLogs(ctx, d.router, id, logBytes) })
		})
	if err != nil {
		return nil, err
	}
	host, err := compareProcessLogs(ctx, rounds)
	if err != nil {
		return nil, err
	}
	bare, err := compareWire(ctx, rounds)
	if err != nil {
		return nil, err
	}
	timed, plain, err := comparePodLogs(ctx, 3*rounds)
	if err != nil {
		return nil, err
	}
	return []figure{
		throughput("ratio", "128 MiB of Docker logs in 200-byte lines, throughput / Docker client's stream, demultiplexed", 0.9, r, logBytes),
		throughput("kube", "Logs of a pod in 200-byte lines, throughput / client-go's stream with times, as the engine asks for it", 0.9, timed, podLogReads*podLogBytes),
		throughput("kube-plain", "The same / client-go's stream without times, from which nobody could resume", 0, plain, podLogReads*podLogBytes),
		throughput("engine", "Docker's again / this project's Docker engine in the caller's process", 0.9, near, logBytes),
		throughput("process", "128 MiB on the process engine / that engine in the caller's process", 0.9, host, logBytes),
		throughput("wire", "The same of an engine that only pours them out / a bare gRPC stream with mTLS, 31 KiB a message", 0.9, bare, logBytes),
		{slug: "router", name: "Growth of the router's resident memory while it passes Docker's on", values: routerGrowth[1:], unit: "MiB", aim: 16, atMost: true},
		{slug: "plugin", name: "The same of the plugin", values: pluginGrowth[1:], unit: "MiB", aim: 16, atMost: true},
	}, nil
}

// compareProcessLogs has the process engine's logs read through router and
// plugin and with the engine in this process. Both read the same state
// directory.
func compareProcessLogs(ctx context.Context, rounds int) (race, error) {
	p, err := startProcess(ctx)
	if err != nil {
		return race{}, err
	}
	defer p.stop()
	probe, err := atomtest.BuildProbe(ctx, p.dir)
	if err != nil {
		return race{}, err
	}
	id, err := writeLogs(ctx, p.router, "none", probe, logBytes)
	if err != nil {
		return race{}, err
	}
	beside, err := process.New(ctx, process.Config{StateDir: filepath.Join(p.dir, "routed"), Shim: p.shim()}, nil)
	if err != nil {
		return race{}, err
	}
	defer beside.Close()
	_, native, _ := strings.Cut(id, ":")
	return alternate(rounds,
		func() (time.Duration, error) {
			return timed(func() error { return readLogs(ctx, beside, native, logBytes) })
		},
		func() (time.Duration, error) {
			return timed(func() error { return readLogs(ctx, p.router, id, logBytes) })
		})
}

// comparePodLogs has a pod's logs read through router and plugin, and with
// client-go: with times, as the engine does, and without.
func comparePodLogs(ctx context.Context, rounds int) (times, plain race, err error) {
	c, err := startCluster(ctx, false, usual)
	if err != nil {
		return race{}, race{}, err
	}
	defer c.stop()
	id, err := writeLogs(ctx, c.router, c.image, "", podLogBytes)
	if err != nil {
		return race{}, race{}, err
	}
	pod := strings.Split(id, "/")[1]
	again := func(read func() error) func() (time.Duration, error) {
		return func() (time.Duration, error) {
			return timed(func() error {
				for range podLogReads {
					if err := read(); err != nil {
						return err
					}
				}
				return nil
			})
		}
	}
	routed := again(func() error { return readLogs(ctx, c.router, id, podLogBytes) })
	straight := func(times bool) func() (time.Duration, error) {
		return again(func() error {
			stream, err := c.straight.CoreV1().Pods(c.namespace).GetLogs(pod, &corev1.PodLogOptions{Timestamps: times}).Stream(ctx)
			if err != nil {
				return err
			}
			defer stream.Close()
			n, err := io.Copy(io.Discard, stream)
			if times {
				n -= podLogBytes / logLine * podLogStamp
			}
			return errors.Join(err, whole(n, podLogBytes))
		})
	}
	if times, err = alternate(rounds, straight(true), routed); err == nil {
		plain, err = alternate(rounds, straight(false), routed)
	}
	return times, plain, err
}

func throughput(slug, name string, aim float64, r race, size int64) figure {
	rate := func(t time.Duration) float64 { return float64(size) / (1 << 20) / t.Seconds() }
	return figure{slug: slug, name: name, values: r.speeds(), unit: "x", aim: aim, sides: r,
		detail: fmt.Sprintf("%.0f MiB/s against %.0f", rate(median(r.subject)), rate(median(r.baseline)))}
}

// readLogs reads all of an atom's output.
func readLogs(ctx context.Context, e atom.Engine, id string, size int64) error {
	logs, err := e.Logs(&atom.EngineLogsRequest{ID: id, NoFollow: true, Context: ctx})
	if err != nil {
		return err
	}
	defer logs.Close()
	counted := &counter{}
	err = atom.CopyLogs(counted, counted, logs)
	return errors.Join(err, whole(counted.n, size))
}

// whole refuses output that is not all of what writeLogs had written.
func whole(n, size int64) error {
	// The lines' numbers have as many digits as they need.
	if short := size - n; short < 0 || short > size/20 {
		return fmt.Errorf("%d bytes of %d came", n, size)
	}
	return nil
}

// writeLogs runs a job that writes about size bytes, and returns its ID. The
// probe is the image's own where no path is given.
func writeLogs(ctx context.Context, e *router.Engine, image, probe string, size int64) (string, error) {
	// The probe numbers its lines; seven digits, a blank and a newline are
	// the rest of each.
	word := strings.Repeat("x", logLine-9)
	r := &atom.EngineCreateRequest{Image: image, Command: []string{"lines", fmt.Sprint(size / logLine), "0s", word}, Context: ctx}
	if probe != "" {
		r.Spec.Entrypoint = []string{probe}
	}
	a, err := e.Create(r)
	if err != nil {
		return "", err
	}
	a, err = e.Wait(&atom.EngineWaitRequest{ID: a.ID(), Context: ctx})
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
