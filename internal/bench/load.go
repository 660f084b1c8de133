package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/atom-router/atom-router/internal/load"
	"github.com/atom-router/atom-router/router"
	"github.com/atom-router/atom-router/router/config"
)

// loadClients have a connection each, and always a job.
const loadClients = 200

// loadSignals are what restarts a daemon under load, once each a round.
var loadSignals = [...]syscall.Signal{syscall.SIGKILL, syscall.SIGTERM}

// measureLoad has many clients run jobs, each Create, Wait, Logs and Delete,
// at a daemon for as long as it is told, in turns with as many goroutines
// that do so with the library. Then they run as long at the daemon left alone,
// in turns with as long at the daemon while it is restarted. A job that is lost
// or runs twice is an error.
func measureLoad(ctx context.Context, rounds int, long time.Duration) ([]figure, error) {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	binary := filepath.Join(dir, "atom-router")
	if err := build(ctx, "github.com/atom-router/atom-router/cmd/atom-router", dir); err != nil {
		return nil, err
	}
	near, err := newNear(ctx, filepath.Join(dir, "near"), binary)
	if err != nil {
		return nil, err
	}
	defer near.Close()
	far, err := newServed(filepath.Join(dir, "far"), binary)
	if err != nil {
		return nil, err
	}
	if err := far.start(ctx); err != nil {
		return nil, err
	}
	defer func() { _ = far.end(syscall.SIGKILL) }()
	remotes, stop, err := far.clients(ctx, loadClients)
	if err != nil {
		return nil, err
	}
	defer stop()
	engines := make([]load.Engine, loadClients)
	for n := range engines {
		engines[n] = near
	}
	library, daemon := load.New(filepath.Join(dir, "near"), engines), load.New(far.dir, remotes)
	figures, err := compareLoads(ctx, rounds, long, library, daemon, far)
	if err != nil {
		return nil, err
	}
	restarted, err := compareRestarts(ctx, rounds, long, daemon, far)
	return append(figures, restarted...), err
}

// newNear is a router in this process, over the same plugin.
func newNear(ctx context.Context, dir, binary string) (*router.Engine, error) {
	s, err := newServed(dir, binary)
	if err != nil {
		return nil, err
	}
	file, diags := config.Read(s.config)
	if len(diags.Errors()) > 0 {
		return nil, diags
	}
	return router.New(ctx, file.Config, router.Options{Builtin: map[string][]string{"process": {binary, "embedded-plugin", "process"}}})
}

// compareLoads tells what the daemon makes of the library's figures, and what
// becomes of its memory: that of one process, so that nothing restarts it here.
func compareLoads(ctx context.Context, rounds int, long time.Duration, library, daemon *load.Load, far *served) ([]figure, error) {
	var libraries, daemons []load.Report
	run := func(l *load.Load, reports *[]load.Report) (time.Duration, error) {
		r, err := l.Run(ctx, long/time.Duration(rounds))
		if err == nil && r.Again > 0 {
			err = fmt.Errorf("%d calls were unavailable, undisturbed", r.Again)
		}
		*reports = append(*reports, r)
		return perJob(r), err
	}
	// The first round warms both up, and starts the plugin.
	var memory [2]*memoryTrend
	r, err := alternate(rounds,
		func() (time.Duration, error) { return run(library, &libraries) },
		func() (time.Duration, error) {
			if len(daemons) == 1 {
				pid := far.daemon.Process.Pid
				child, err := childOf(pid, "embedded-plugin")
				if err != nil {
					return 0, err
				}
				memory = [2]*memoryTrend{followMemory(pid), followMemory(child)}
			}
			return run(daemon, &daemons)
		})
	if err := errors.Join(err, library.Check(ctx), daemon.Check(ctx)); err != nil {
		return nil, err
	}
	rates := r.speeds()
	var p50, p99 []float64
	jobs := 0
	for n := range rates {
		l, d := libraries[n+1], daemons[n+1]
		p50 = append(p50, float64(d.Quantile(0.5))/float64(l.Quantile(0.5)))
		p99 = append(p99, float64(d.Quantile(0.99))/float64(l.Quantile(0.99)))
	}
	for _, d := range daemons {
		jobs += len(d.Jobs)
	}
	against := func(of func(load.Report) string) string {
		return of(typical(daemons[1:])) + " against " + of(typical(libraries[1:]))
	}
	quantile := func(q float64) string {
		return against(func(r load.Report) string { return r.Quantile(q).Round(time.Millisecond).String() })
	}
	figures := []figure{
		{slug: "rate", name: "Jobs a second through the daemon / with the library", values: rates, unit: "x",
			detail: against(func(r load.Report) string { return fmt.Sprintf("%.0f", r.Rate()) }) + fmt.Sprintf(", %d clients; %d jobs, none lost, none twice", loadClients, jobs)},
		{slug: "p50", name: "p50 of a job's time, Create to Delete", values: p50, unit: "x", detail: quantile(0.5)},
		{slug: "p99", name: "p99", values: p99, unit: "x", detail: quantile(0.99)},
	}
	for n, name := range []string{"daemon", "plugin"} {
		samples := memory[n].end()
		first, last := part(samples, 0, 3), part(samples, 2, 3)
		figures = append(figures, figure{slug: "memory-" + name, name: "Resident memory of the " + name + ", last third of the time / first", values: []float64{last / first}, unit: "x", aim: 1.15, atMost: true,
			detail: fmt.Sprintf("%.1f MiB in the last third, %.1f MiB in the first", last, first)})
	}
	return figures, nil
}

// perJob is the throughput as a race takes it.
func perJob(r load.Report) time.Duration {
	return time.Duration(float64(time.Second) / r.Rate())
}

// typical is the report whose throughput is in the middle.
func typical(all []load.Report) load.Report {
	sorted := slices.SortedFunc(slices.Values(all), func(a, b load.Report) int { return cmp.Compare(a.Rate(), b.Rate()) })
	return sorted[len(sorted)/2]
}

// compareRestarts tells what restarts make of the daemon's throughput, and how
// long each takes. In each round the daemon is left alone for as long as it is
// restarted.
func compareRestarts(ctx context.Context, rounds int, long time.Duration, daemon *load.Load, far *served) ([]figure, error) {
	each := long / time.Duration(rounds)
	var calm, restarted []load.Report
	away := make(map[syscall.Signal][]float64)
	r, err := alternate(rounds,
		func() (time.Duration, error) {
			r, err := daemon.Run(ctx, each)
			calm = append(calm, r)
			return perJob(r), err
		},
		func() (time.Duration, error) {
			r, took, err := underRestarts(ctx, each, daemon, far)
			restarted = append(restarted, r)
			for n, t := range took {
				away[loadSignals[n]] = append(away[loadSignals[n]], float64(t)/float64(time.Millisecond))
			}
			return perJob(r), err
		})
	if err := errors.Join(err, daemon.Check(ctx)); err != nil {
		return nil, err
	}
	jobs, again := 0, 0
	for _, r := range slices.Concat(calm, restarted) {
		jobs, again = jobs+len(r.Jobs), again+r.Again
	}
	of := func(r load.Report) string {
		return fmt.Sprintf("%.0f, p50 %v, p99 %v", r.Rate(), r.Quantile(0.5).Round(time.Millisecond), r.Quantile(0.99).Round(time.Millisecond))
	}
	// The first round warms up: the restarts of it do not count either.
	return []figure{
		{slug: "restarted", name: "Jobs a second while the daemon is restarted / left alone", values: r.speeds(), unit: "x",
			detail: fmt.Sprintf("%s against %s; %v each a round, with a restart by each signal; %d jobs, none lost, none twice; %d calls made again",
				of(typical(restarted[1:])), of(typical(calm[1:])), each, jobs, again)},
		{slug: "away-kill", name: "A restart by SIGKILL under this load", values: away[syscall.SIGKILL][1:], unit: "ms", detail: "from the signal until it serves again"},
		{slug: "away-term", name: "A restart by SIGTERM under this load", values: away[syscall.SIGTERM][1:], unit: "ms", detail: "the same; the daemon lets the calls under way end first"},
	}, nil
}

// underRestarts is the load with the daemon restarted by each of the signals,
// with as much time between them as before and after, and what each restart
// took.
func underRestarts(ctx context.Context, long time.Duration, daemon *load.Load, far *served) (load.Report, []time.Duration, error) {
	loading, cancel := context.WithCancel(ctx)
	defer cancel()
	type end struct {
		report load.Report
		err    error
	}
	ended := make(chan end, 1)
	began := time.Now()
	go func() { // ends with the last job, or with this
		r, err := daemon.Run(loading, long)
		ended <- end{r, err}
	}()
	var away []time.Duration
	for n, how := range loadSignals {
		at := long * time.Duration(n+1) / time.Duration(len(loadSignals)+1)
		select {
		case <-time.After(time.Until(began.Add(at))):
		case e := <-ended: // too soon
			return e.report, nil, errors.Join(e.err, errors.New("the load ended before the last restart"))
		}
		took, err := timed(func() error { return errors.Join(far.end(how), far.start(ctx)) })
		if err != nil {
			return load.Report{}, nil, fmt.Errorf("restarting by %v: %w", how, err)
		}
		away = append(away, took)
	}
	e := <-ended
	return e.report, away, e.err
}
