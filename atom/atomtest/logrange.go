package atomtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/atom/atomtest/internal/steps"
)

func logRangePromises() []Promise {
	streams := []atom.Capability{atom.CapLogStreams}
	times := []atom.Capability{atom.CapLogTimes}
	return []Promise{
		{Name: "timestamps stand before each line, once, in UTC, and never run backwards", Check: func(ctx context.Context, e *Env) error {
			a, plain, err := e.Run(ctx, "lines", "5", "200ms", ";", "pour", "40000", "text", "3", "out", ";", "print", ";", "print", ";", "write", "end")
			if err != nil {
				return err
			}
			stamped, err := e.stamped(ctx, a.ID(), nil)
			if err != nil {
				return err
			}
			var rest []byte
			for i, l := range stamped {
				rest = append(rest, l.text...)
				if i > 0 && l.at.Before(stamped[i-1].at) {
					return fmt.Errorf("line %d has the time %v, the one before it %v", i, l.at, stamped[i-1].at)
				}
			}
			if err := same(rest, plain); err != nil {
				return fmt.Errorf("without its timestamps: %w", err)
			}
			// The logs' clock may be another than that of start and stop, and a
			// busy backend reads the first line late.
			first, last := stamped[0].at, stamped[len(stamped)-1].at
			if first.Before(a.CreatedAt().Add(-time.Minute)) || last.After(a.StoppedAt().Add(time.Minute)) ||
				last.Sub(first) < 200*time.Millisecond && e.Capabilities.Has(atom.CapLogTimes) {
				return fmt.Errorf("the times go from %v to %v; the job ran from %v to %v and took 800 ms at least", first, last, a.StartedAt(), a.StoppedAt())
			}
			return nil
		}},
		{Name: "since leaves out what is older, exact to the nanosecond", Needs: times, Check: func(ctx context.Context, e *Env) error {
			a, _, err := e.Run(ctx, "lines", "8", "20ms")
			if err != nil {
				return err
			}
			all, err := e.stamped(ctx, a.ID(), nil)
			if err != nil {
				return err
			}
			for _, l := range all {
				for _, since := range []time.Time{l.at, l.at.Add(1), l.at.Add(-1), l.at.In(time.FixedZone("west", -7*3600))} {
					var want []byte
					for _, other := range all {
						if !other.at.Before(since) {
							want = append(want, other.text...)
						}
					}
					got, err := e.Read(ctx, a.ID(), func(r *atom.EngineLogsRequest) { r.Since = since })
					if err != nil {
						return err
					}
					if err := same(got, want); err != nil {
						return fmt.Errorf("since %v, where the lines are of %v to %v: %w", since, all[0].at, all[len(all)-1].at, err)
					}
				}
			}
			return nil
		}},
		{Name: "tail counts lines, long ones and the last without a newline too", Check: func(ctx context.Context, e *Env) error {
			// A line of 50 KiB is several records of any backend.
			wide := string(known(steps.Text, 9, 50<<10))
			a, _, err := e.Run(ctx, "print", "a", ";", "print", "b", ";", "pour", "51200", "text", "9", "out", ";", "print", ";", "print", "c", ";", "write", "d")
			if err != nil {
				return err
			}
			all := []string{"a\n", "b\n", wide + "\n", "c\n", "d"}
			for tail := atom.TailNone; tail <= len(all)+1; tail++ {
				from := max(len(all)-tail, 0)
				switch tail {
				case 0:
					from = 0
				case atom.TailNone:
					from = len(all)
				}
				want := strings.Join(all[from:], "")
				got, err := e.Read(ctx, a.ID(), func(r *atom.EngineLogsRequest) { r.Tail = tail })
				if err != nil {
					return fmt.Errorf("tail %d: %w", tail, err)
				}
				if err := same(got, []byte(want)); err != nil {
					return fmt.Errorf("tail %d: %w", tail, err)
				}
			}
			return nil
		}},
		{Name: "tail counts what since leaves", Needs: times, Check: func(ctx context.Context, e *Env) error {
			a, _, err := e.Run(ctx, "lines", "8", "20ms")
			if err != nil {
				return err
			}
			all, err := e.stamped(ctx, a.ID(), nil)
			if err != nil || len(all) != 8 {
				return fmt.Errorf("%d lines of 8 have a timestamp, %w", len(all), errors.Join(err))
			}
			for _, c := range []struct{ from, tail int }{{2, 3}, {6, 5}} {
				since := all[c.from].at
				got, err := e.Read(ctx, a.ID(), func(r *atom.EngineLogsRequest) { r.Since, r.Tail = since, c.tail })
				if err != nil {
					return err
				}
				// A backend that reads late gives lines before it the same time.
				first := slices.IndexFunc(all, func(l stampedLine) bool { return !l.at.Before(since) })
				if err := same(got, lines("line", max(first, 8-c.tail), 8)); err != nil {
					return fmt.Errorf("tail %d since line %d: %w", c.tail, c.from, err)
				}
			}
			return nil
		}},
		{Name: "a long log's tail is its last lines", Check: func(ctx context.Context, e *Env) error {
			const size = 2 << 20
			a, out, err := e.Run(ctx, "pour", fmt.Sprint(size), "lines", "11", "out")
			if err != nil {
				return err
			}
			all := slices.Collect(bytes.Lines(out))
			for _, tail := range []int{1, 100, 1000} {
				got, err := e.Read(ctx, a.ID(), func(r *atom.EngineLogsRequest) { r.Tail = tail })
				if err != nil {
					return fmt.Errorf("tail %d: %w", tail, err)
				}
				if err := same(got, bytes.Join(all[len(all)-tail:], nil)); err != nil {
					return fmt.Errorf("tail %d: %w", tail, err)
				}
			}
			return nil
		}},
		{Name: "tail of nothing follows what comes next", Check: func(ctx context.Context, e *Env) error {
			a, err := e.StartReady(ctx, "trap", "0", "bye", ";", "print", "ready", ";", "sleep", long)
			if err != nil {
				return err
			}
			logs, err := e.Logs(ctx, a.ID(), func(r *atom.EngineLogsRequest) { r.Tail = atom.TailNone })
			if err != nil {
				return err
			}
			defer logs.Close()
			if err := e.Stop(ctx, a.ID()); err != nil {
				return err
			}
			out, err := io.ReadAll(logs)
			if err != nil {
				return fmt.Errorf("reading logs: %w", err)
			}
			return same(out, []byte("bye\n"))
		}},
		{Name: "one stream can be had without the other", Needs: streams, Check: func(ctx context.Context, e *Env) error {
			a, _, err := e.Run(ctx, "both", "5", "10ms", ";", "write", "out end", ";", "ewrite", "err end")
			if err != nil {
				return err
			}
			for _, c := range []struct {
				stream atom.Stream
				tail   int
				want   string
			}{
				{atom.Stdout, 0, string(lines("out", 0, 5)) + "out end"},
				{atom.Stderr, 0, string(lines("err", 0, 5)) + "err end"},
				{atom.Stdout, 2, "out 4\nout end"},
				{atom.Stderr, 3, "err 3\nerr 4\nerr end"},
			} {
				got, err := e.Read(ctx, a.ID(), func(r *atom.EngineLogsRequest) { r.Stream, r.Tail = c.stream, c.tail })
				if err != nil {
					return err
				}
				if err := same(got, []byte(c.want)); err != nil {
					return fmt.Errorf("%s, tail %d: %w", c.stream, c.tail, err)
				}
			}
			return nil
		}},
		{Name: "each chunk names its stream", Needs: streams, Check: func(ctx context.Context, e *Env) error {
			a, _, err := e.Run(ctx, "both", "5", "10ms")
			if err != nil {
				return err
			}
			logs, err := e.Logs(ctx, a.ID(), nil)
			if err != nil {
				return err
			}
			defer logs.Close()
			r, ok := logs.(*atom.LogReader)
			if !ok {
				return fmt.Errorf("the log is a %T; where streams are told apart it has to be an *atom.LogReader", logs)
			}
			for {
				c, err := r.Next()
				if errors.Is(err, io.EOF) {
					return nil
				}
				if err != nil {
					return fmt.Errorf("next: %w", err)
				}
				if len(c.Data) == 0 {
					return errors.New("a chunk holds nothing")
				}
				word := map[atom.Stream]string{atom.Stdout: "out ", atom.Stderr: "err "}[c.Stream]
				if word == "" || !bytes.HasPrefix(c.Data, []byte(word)) {
					return fmt.Errorf("the chunk %q is said to be of the stream %q", short(c.Data), c.Stream)
				}
			}
		}},
		{Name: "a stream is not asked for in vain", Check: func(ctx context.Context, e *Env) error {
			if e.Capabilities.Has(atom.CapLogStreams) {
				return nil // the promises above
			}
			a, _, err := e.Run(ctx, "both", "1")
			if err != nil {
				return err
			}
			_, err = e.Read(ctx, a.ID(), func(r *atom.EngineLogsRequest) { r.Stream = atom.Stdout })
			return refused(err)
		}},
	}
}

// stampedLine is a line with its timestamp taken off.
type stampedLine struct {
	at   time.Time
	text []byte
}

// stamped reads a log with timestamps and takes them off.
func (e *Env) stamped(ctx context.Context, id string, change func(*atom.EngineLogsRequest)) ([]stampedLine, error) {
	out, err := e.Read(ctx, id, func(r *atom.EngineLogsRequest) {
		r.Timestamps = true
		if change != nil {
			change(r)
		}
	})
	if err != nil {
		return nil, err
	}
	var all []stampedLine
	for line := range bytes.Lines(out) {
		stamp, text, ok := bytes.Cut(line, []byte(" "))
		at, err := time.Parse(time.RFC3339Nano, string(stamp))
		if !ok || err != nil || !strings.HasSuffix(string(stamp), "Z") {
			return nil, fmt.Errorf("the line %q does not begin with a time of RFC 3339 in UTC and a blank", short(line))
		}
		all = append(all, stampedLine{at, text})
	}
	if len(all) == 0 {
		return nil, errors.New("the log is empty")
	}
	return all, nil
}
