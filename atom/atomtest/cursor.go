package atomtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/atom-router/atom-router/atom"
)

// interleaved is a job whose log is hard to resume: both streams at once,
// lines over 16 KiB, and open ends.
var interleaved = []string{
	"both", "3", ";", "pour", "120000", "lines", "21", "both", ";", "print", ";", "write", "open", ";", "eprint", "between",
	";", "pour", "40000", "text", "22", "both", ";", "write", " end",
}

// chunks reads a log to its end by Next; false where the engine's logs have
// no chunks.
func (e *Env) chunks(ctx context.Context, id string, change func(*atom.EngineLogsRequest)) ([]atom.LogChunk, bool, error) {
	logs, err := e.Logs(ctx, id, change)
	if err != nil {
		return nil, false, err
	}
	defer logs.Close()
	r, ok := logs.(*atom.LogReader)
	if !ok {
		return nil, false, nil
	}
	var all []atom.LogChunk
	for {
		c, err := r.Next()
		if errors.Is(err, io.EOF) {
			return all, true, nil
		}
		if err != nil {
			return nil, false, fmt.Errorf("next, after %d chunks: %w", len(all), err)
		}
		all = append(all, c)
	}
}

// joined is what chunks hold of a stream.
func joined(chunks []atom.LogChunk, s atom.Stream) []byte {
	var b []byte
	for _, c := range chunks {
		if c.Stream == s {
			b = append(b, c.Data...)
		}
	}
	return b
}

// resume checks that a log goes on where a chunk of it ended.
func (e *Env) resume(ctx context.Context, id string, change func(*atom.EngineLogsRequest)) error {
	all, ok, err := e.chunks(ctx, id, change)
	if err != nil || !ok {
		return err
	}
	// Every place costs a stream; of many, these.
	step := max(len(all)/24, 1)
	for i := range all {
		if all[i].Cursor == "" || i > 3 && i < len(all)-4 && i%step != 0 {
			continue
		}
		rest, _, err := e.chunks(ctx, id, func(r *atom.EngineLogsRequest) {
			if change != nil {
				change(r)
			}
			r.Cursor = all[i].Cursor
		})
		if err != nil {
			return fmt.Errorf("resuming after chunk %d of %d: %w", i+1, len(all), err)
		}
		for _, s := range []atom.Stream{"", atom.Stdout, atom.Stderr} {
			if err := same(joined(rest, s), joined(all[i+1:], s)); err != nil {
				return fmt.Errorf("resumed after chunk %d of %d, %s: %w", i+1, len(all), s, err)
			}
		}
	}
	return nil
}

func cursorPromises() []Promise {
	return []Promise{
		{Name: "a log cut after any chunk goes on with the very next byte", Check: func(ctx context.Context, e *Env) error {
			a, _, err := e.Run(ctx, interleaved...)
			if err != nil {
				return err
			}
			return e.resume(ctx, a.ID(), nil)
		}},
		{Name: "a log with timestamps goes on after its cursor, with the same times", Check: func(ctx context.Context, e *Env) error {
			a, _, err := e.Run(ctx, "lines", "6", "15ms", ";", "pour", "40000", "text", "5", "out", ";", "print", ";", "print", "end")
			if err != nil {
				return err
			}
			stamps := func(r *atom.EngineLogsRequest) { r.Timestamps = true }
			if err := e.resume(ctx, a.ID(), stamps); err != nil {
				return err
			}
			all, ok, err := e.chunks(ctx, a.ID(), stamps)
			if err != nil || !ok || len(all) < 2 || all[0].Cursor == "" {
				return err
			}
			rest, _, err := e.chunks(ctx, a.ID(), func(r *atom.EngineLogsRequest) { r.Timestamps, r.Cursor = true, all[0].Cursor })
			if err != nil {
				return err
			}
			if len(rest) == 0 || all[1].Time.IsZero() || !rest[0].Time.Equal(all[1].Time) {
				return fmt.Errorf("after the first chunk the time is %v, and resumed there %v", all[1].Time, times(rest))
			}
			return nil
		}},
		{Name: "a log with since goes on after its cursor", Check: func(ctx context.Context, e *Env) error {
			a, _, err := e.Run(ctx, "lines", "10", "15ms")
			if err != nil {
				return err
			}
			all, err := e.stamped(ctx, a.ID(), nil)
			if err != nil {
				return err
			}
			return e.resume(ctx, a.ID(), func(r *atom.EngineLogsRequest) { r.Since = all[4].at })
		}},
		{Name: "a log with a tail goes on after its cursor, which leaves the tail without meaning", Check: func(ctx context.Context, e *Env) error {
			a, _, err := e.Run(ctx, "lines", "10", "15ms")
			if err != nil {
				return err
			}
			return e.resume(ctx, a.ID(), func(r *atom.EngineLogsRequest) { r.Tail = 5 })
		}},
		{Name: "one stream goes on after its cursor", Needs: []atom.Capability{atom.CapLogStreams}, Check: func(ctx context.Context, e *Env) error {
			a, _, err := e.Run(ctx, interleaved...)
			if err != nil {
				return err
			}
			return e.resume(ctx, a.ID(), func(r *atom.EngineLogsRequest) { r.Stream = atom.Stderr })
		}},
		{Name: "a log cut while the job runs is followed on to the end", Check: func(ctx context.Context, e *Env) error {
			a, err := e.Start(ctx, "lines", "5", "1ms", "early", ";", "trap", "0", "late", ";", "print", "ready", ";", "sleep", long)
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
				return nil
			}
			var had []byte
			cursor := ""
			for !bytes.Contains(had, []byte("ready\n")) {
				c, err := r.Next()
				if err != nil {
					return fmt.Errorf("next: %w", err)
				}
				had, cursor = append(had, c.Data...), c.Cursor
			}
			logs.Close()
			if cursor == "" {
				return nil
			}
			again, err := e.Logs(ctx, a.ID(), func(r *atom.EngineLogsRequest) { r.Cursor = cursor })
			if err != nil {
				return err
			}
			defer again.Close()
			if err := e.Stop(ctx, a.ID()); err != nil {
				return err
			}
			rest, err := io.ReadAll(again)
			if err != nil {
				return fmt.Errorf("reading on: %w", err)
			}
			return same(append(had, rest...), append(lines("early", 0, 5), "ready\nlate\n"...))
		}},
	}
}

func times(chunks []atom.LogChunk) (ts []time.Time) {
	for _, c := range chunks {
		ts = append(ts, c.Time)
	}
	return ts
}
