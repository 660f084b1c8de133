package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"strconv"
	"sync"
	"time"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/atom/atomtest"
)

const (
	follows    = 1000
	followed   = 20                     // atoms, each with as many of the readers
	followRamp = 5 * time.Second        // until nothing is new to either process
	followLong = time.Minute            // until their heaps have found their size, and as long again
	followTick = 200 * time.Millisecond // each atom's lines

	// followRounds is the most rounds there are, since each takes more than a
	// minute.
	followRounds = 5
)

// measureFollows has many readers follow at the same time through router and
// plugin, on the process engine, and looks at the memory of both while lines
// flow. What a heap needs it takes in its first half minute, which says nothing
// of a leak: so the trend is that of the second. Each reader must get each line.
func measureFollows(ctx context.Context, rounds int) ([]figure, error) {
	var flat, cost [2][]float64
	for range min(rounds, followRounds) {
		each, trend, err := followRound(ctx)
		if err != nil {
			return nil, err
		}
		for n := range each {
			cost[n], flat[n] = append(cost[n], each[n]), append(flat[n], trend[n])
		}
	}
	var figures []figure
	detail := fmt.Sprintf("%d at a time, %d lines a second", follows, follows*int(time.Second/followTick))
	for n, name := range []string{"router", "plugin"} {
		figures = append(figures,
			figure{slug: name + "-trend", name: "Resident memory of the " + name + " under follows, last quarter of a minute / the third", values: flat[n], unit: "x", aim: 1.05, atMost: true, detail: detail},
			figure{slug: name + "-each", name: "The same for each follow", values: cost[n], unit: "KiB"})
	}
	return figures, nil
}

// followRound tells what a follow takes in a router and a plugin of its own, in
// KiB, and how their memory changes in the second half.
func followRound(ctx context.Context) (each, trend [2]float64, err error) {
	p, err := startProcess(ctx)
	if err != nil {
		return each, trend, err
	}
	defer p.stop()
	probe, err := atomtest.BuildProbe(ctx, p.dir)
	if err != nil {
		return each, trend, err
	}
	lines := int((followRamp + followLong) / followTick)
	request := &atom.EngineCreateRequest{Image: "none", Context: ctx, Command: []string{"sleep", "5s", ";", "lines", strconv.Itoa(lines), followTick.String(), "a line"}}
	request.Spec.Entrypoint = []string{probe}
	ids := make([]string, followed)
	for n := range ids {
		a, err := p.router.Create(request)
		if err != nil {
			return each, trend, err
		}
		ids[n] = a.ID()
		defer func() { _ = p.router.Delete(&atom.EngineDeleteRequest{ID: ids[n], Force: true}) }()
	}
	plugin, err := childNamed(p.shim()[0])
	if err != nil {
		return each, trend, err
	}
	debug.FreeOSMemory()
	before := [2]int64{resident(os.Getpid()), resident(plugin)}
	var first, all sync.WaitGroup
	first.Add(follows)
	errs := make([]error, follows)
	for n := range follows {
		all.Go(func() { errs[n] = p.readLines(ctx, ids[n%followed], lines, first.Done) })
	}
	first.Wait()
	time.Sleep(followRamp)
	own, theirs := followMemory(os.Getpid()), followMemory(plugin)
	all.Wait()
	samples := [2][]float64{own.end(), theirs.end()}
	if err := errors.Join(errs...); err != nil {
		return each, trend, err
	}
	for n, s := range samples {
		last := part(s, 3, 4)
		trend[n] = last / part(s, 2, 4)
		each[n] = (last - float64(before[n])/(1<<20)) * 1024 / follows
	}
	return each, trend, nil
}

// readLines follows an atom to its end. began is called once, with the first
// line or without any.
func (p *processSide) readLines(ctx context.Context, id string, want int, began func()) error {
	began = sync.OnceFunc(began)
	defer began()
	logs, err := p.router.Logs(&atom.EngineLogsRequest{ID: id, Context: ctx})
	if err != nil {
		return err
	}
	defer logs.Close()
	n := 0
	lines := bufio.NewScanner(logs)
	for lines.Scan() {
		if text := "a line " + strconv.Itoa(n); lines.Text() != text {
			return fmt.Errorf("%q instead of %q", lines.Text(), text)
		}
		n++
		began()
	}
	if lines.Err() == nil && n != want {
		return fmt.Errorf("%d of %d lines came", n, want)
	}
	return lines.Err()
}
