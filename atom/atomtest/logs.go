package atomtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/atom/atomtest/internal/steps"
)

// output is a promise that a job's log is what it wrote.
func output(name string, want string, args ...string) Promise {
	return Promise{Name: name, Check: func(ctx context.Context, e *Env) error {
		_, out, err := e.Run(ctx, args...)
		if err != nil {
			return err
		}
		return same(out, []byte(want))
	}}
}

// poured is a promise that known bytes come back.
func poured(name string, needs []atom.Capability, kind steps.Kind, size int) Promise {
	return Promise{name, needs, func(ctx context.Context, e *Env) error {
		const seed = 42
		_, out, err := e.Run(ctx, "pour", strconv.Itoa(size), string(kind), strconv.Itoa(seed), "out")
		if err != nil {
			return err
		}
		return same(out, known(kind, seed, size))
	}}
}

func logsPromises() []Promise {
	return []Promise{
		output("a log is the job's output, and nothing is added", "one\n\n two \nthree\n", "print", "one", ";", "print", ";", "print", " two ", ";", "print", "three"),
		output("a last line without a newline arrives", "one\ntwo", "print", "one", ";", "write", "two"),
		output("a job without output has an empty log", "", "sleep", "1ms"),
		output("carriage returns, tabs and escapes arrive", "50%\r100%\n\tdone \x1b[1m\x07\n", "write", "50%\r100%\n\tdone \x1b[1m\x07\n"),
		output("text in any script arrives", "größer ∀ 日本 🙂\n", "print", "größer ∀ 日本 🙂"),
		output("a line of exactly 16 KiB arrives", string(known(steps.Text, 1, 16<<10))+"\nx\n", "pour", "16384", "text", "1", "out", ";", "print", ";", "print", "x"),
		poured("a line of 100 KiB without an end arrives", nil, steps.Text, 100<<10),
		poured("a mebibyte of lines arrives, those over 16 KiB too", nil, steps.Lines, 1<<20),
		poured("eight mebibytes of output arrive whole", nil, steps.Lines, 8<<20),
		{"a carriage return before a newline survives", []atom.Capability{atom.CapExactBytes}, func(ctx context.Context, e *Env) error {
			_, out, err := e.Run(ctx, "write", "x\r\n\r\n")
			if err != nil {
				return err
			}
			return same(out, []byte("x\r\n\r\n"))
		}},
		poured("invalid UTF-8 and NUL survive", []atom.Capability{atom.CapExactBytes}, steps.Binary, 300<<10),
		{Name: "each stream arrives whole and in its order", Needs: []atom.Capability{atom.CapLogStreams}, Check: func(ctx context.Context, e *Env) error {
			const size = 600 << 10
			a, _, err := e.Run(ctx, "pour", strconv.Itoa(size), "lines", "7", "both")
			if err != nil {
				return err
			}
			logs, err := e.Logs(ctx, a.ID(), nil)
			if err != nil {
				return err
			}
			defer logs.Close()
			var stdout, stderr bytes.Buffer
			if err := atom.CopyLogs(&stdout, &stderr, logs); err != nil {
				return fmt.Errorf("reading logs: %w", err)
			}
			if err := same(stdout.Bytes(), known(steps.Lines, 7, size)); err != nil {
				return fmt.Errorf("stdout: %w", err)
			}
			if err := same(stderr.Bytes(), known(steps.Lines, 8, size)); err != nil {
				return fmt.Errorf("stderr: %w", err)
			}
			return nil
		}},
		{Name: "stdout and stderr stand in the order in which they were written", Check: func(ctx context.Context, e *Env) error {
			_, out, err := e.Run(ctx, "print", "a", ";", "sleep", "400ms", ";", "eprint", "b", ";", "sleep", "400ms", ";", "print", "c")
			if err != nil {
				return err
			}
			return same(out, []byte("a\nb\nc\n"))
		}},
		{Name: "a log is followed while the job runs, to its end", Check: func(ctx context.Context, e *Env) error {
			a, err := e.Start(ctx, "trap", "0", "bye", ";", "print", "ready", ";", "sleep", long)
			if err != nil {
				return err
			}
			logs, err := e.Logs(ctx, a.ID(), nil)
			if err != nil {
				return err
			}
			defer logs.Close()
			first := make([]byte, len("ready\n"))
			if _, err := io.ReadFull(logs, first); err != nil {
				return fmt.Errorf("reading the first line: %w", err)
			}
			if now, err := e.Get(ctx, a.ID()); err != nil || now.State().Done() {
				return fmt.Errorf("while its log is followed the atom is %s, %v", describe(now), err)
			}
			if err := e.Stop(ctx, a.ID()); err != nil {
				return err
			}
			rest, err := io.ReadAll(logs)
			if err != nil {
				return fmt.Errorf("reading to the end: %w", err)
			}
			return same(append(first, rest...), []byte("ready\nbye\n"))
		}},
		{Name: "a log asked for before the start waits for it and misses nothing", Check: func(ctx context.Context, e *Env) error {
			for range 3 {
				a, err := e.Start(ctx, "print", "first", ";", "sleep", "50ms", ";", "write", "last")
				if err != nil {
					return err
				}
				out, err := e.Read(ctx, a.ID(), nil)
				if err != nil {
					return err
				}
				if err := same(out, []byte("first\nlast")); err != nil {
					return err
				}
			}
			return nil
		}},
		{Name: "a log that is not followed ends at what is there", Check: func(ctx context.Context, e *Env) error {
			a, err := e.StartReady(ctx, "print", "ready", ";", "sleep", long)
			if err != nil {
				return err
			}
			return within(2*prompt, "a log without follow", func() error {
				out, err := e.Read(ctx, a.ID(), func(r *atom.EngineLogsRequest) { r.NoFollow = true })
				if err != nil {
					return err
				}
				return same(out, []byte("ready\n"))
			})
		}},
		{Name: "any number of readers get the whole log", Check: func(ctx context.Context, e *Env) error {
			a, err := e.Start(ctx, "lines", "40", "20ms")
			if err != nil {
				return err
			}
			want := lines("line", 0, 40)
			return together(6, func(int) error {
				out, err := e.Read(ctx, a.ID(), nil)
				if err != nil {
					return err
				}
				return same(out, want)
			})
		}},
		{Name: "a slow reader loses nothing", Check: func(ctx context.Context, e *Env) error {
			const size = 3 << 20
			a, err := e.Start(ctx, "pour", strconv.Itoa(size), "lines", "5", "out")
			if err != nil {
				return err
			}
			logs, err := e.Logs(ctx, a.ID(), nil)
			if err != nil {
				return err
			}
			defer logs.Close()
			first := make([]byte, 1)
			if _, err := io.ReadFull(logs, first); err != nil {
				return fmt.Errorf("reading the first byte: %w", err)
			}
			// Not reading must hold up neither the job nor the engine.
			if _, err := e.Wait(ctx, a.ID()); err != nil {
				return err
			}
			rest, err := io.ReadAll(logs)
			if err != nil {
				return fmt.Errorf("reading on: %w", err)
			}
			return same(append(first, rest...), known(steps.Lines, 5, size))
		}},
		{Name: "closing a log ends a blocked read at once", Check: func(ctx context.Context, e *Env) error {
			a, err := e.StartReady(ctx, "print", "ready", ";", "sleep", long)
			if err != nil {
				return err
			}
			logs, err := e.Logs(ctx, a.ID(), nil)
			if err != nil {
				return err
			}
			if _, err := io.ReadFull(logs, make([]byte, len("ready\n"))); err != nil {
				return fmt.Errorf("reading the first line: %w", err)
			}
			read := make(chan error, 1)
			go func() { // ends with the read
				_, err := logs.Read(make([]byte, 1))
				read <- err
			}()
			select {
			case err := <-read:
				return fmt.Errorf("a quiet running job's log ended with %v", err)
			case <-time.After(200 * time.Millisecond): // the read blocks
			}
			if err := within(prompt, "close", logs.Close); err != nil {
				return err
			}
			return within(prompt, "a read of a closed log", func() error {
				if err := <-read; err == nil || errors.Is(err, io.EOF) {
					return fmt.Errorf("the read ended with %v, as if the log were complete", err)
				}
				logs.Close()
				if _, err := logs.Read(make([]byte, 1)); err == nil || errors.Is(err, io.EOF) {
					return fmt.Errorf("a read after close gave %v", err)
				}
				return nil
			})
		}},
		{Name: "cancelling ends a log with the context's error", Check: func(ctx context.Context, e *Env) error {
			a, err := e.StartReady(ctx, "print", "ready", ";", "sleep", long)
			if err != nil {
				return err
			}
			inner, cancel := context.WithCancel(ctx)
			defer cancel()
			logs, err := e.Logs(inner, a.ID(), nil)
			if err != nil {
				return err
			}
			defer logs.Close()
			if _, err := io.ReadFull(logs, make([]byte, len("ready\n"))); err != nil {
				return fmt.Errorf("reading the first line: %w", err)
			}
			time.AfterFunc(100*time.Millisecond, cancel)
			return within(prompt, "the read", func() error {
				_, err := logs.Read(make([]byte, 1))
				return of(context.Canceled, err)
			})
		}},
	}
}

// lines is what `lines` writes from one number to before another.
func lines(word string, from, to int) []byte {
	var b []byte
	for i := from; i < to; i++ {
		b = fmt.Appendf(b, "%s %d\n", word, i)
	}
	return b
}
