package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/spf13/cobra"

	"github.com/atom-router/atom-router/atom"
)

// display is stderr while a job is waited for: it tells what for. On a terminal
// that is one line, which makes way for whatever else is written; elsewhere a
// line for each phase. Its methods may be called from any number of goroutines.
type display struct {
	w        io.Writer
	terminal bool

	mu    sync.Mutex
	shown string // told last; on a terminal it stands there until it is cleared
}

// clearLine goes to the line's beginning and clears it.
const clearLine = "\r\x1b[K"

// progress has a request tell its progress on stderr, whose place the display
// takes: the log and all errors come by it. It is nil where quiet is set.
func (a *app) progress(req *atom.EngineCreateRequest, quiet bool) *display {
	if quiet {
		return nil
	}
	f, ok := a.stderr.(*os.File)
	d := &display{w: a.stderr, terminal: ok && os.Getenv("TERM") != "dumb" && isTerminal(f)}
	a.stderr, req.Progress = d, d.show
	return d
}

func addQuiet(cmd *cobra.Command, quiet *bool) {
	cmd.Flags().BoolVarP(quiet, "quiet", "q", false, "do not tell on stderr what the job's start waits for")
}

// Write implements io.Writer.
func (d *display) Write(p []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.clear()
	return d.w.Write(p)
}

// over says that what was shown is no longer waited for. A nil display shows
// nothing.
func (d *display) over() {
	if d == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.clear()
	d.shown = ""
}

func (d *display) clear() {
	if d.terminal && d.shown != "" {
		io.WriteString(d.w, clearLine)
		d.shown = ""
	}
}

// show tells how a job that has not started gets on.
func (d *display) show(p atom.Progress) {
	text := p.Text
	if text == "" {
		text = string(p.Phase)
	}
	text = printable(p.Backend + ": " + text)
	if d.terminal && p.Total > 0 {
		text += ", " + bytesText(p.Done, p.Total)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if text == d.shown {
		return
	}
	d.shown = text
	if !d.terminal {
		fmt.Fprintln(d.w, text)
		return
	}
	// What is too long for the line is cut off there and not wrapped.
	fmt.Fprint(d.w, clearLine+"\x1b[?7l"+text+"\x1b[?7h")
}

// bytesText is a part of a number of bytes, in the unit of the whole.
func bytesText(done, total int64) string {
	unit, size := "MB", int64(1e6)
	if total < size {
		unit, size = "kB", 1000
	}
	return fmt.Sprintf("%d of %d %s", done/size, total/size, unit)
}

// before is out, where nothing is shown beside it.
func (d *display) before(out io.Writer) io.Writer { return &beside{d, out} }

type beside struct {
	*display
	out io.Writer
}

func (b *beside) Write(p []byte) (int, error) {
	b.over()
	return b.out.Write(p)
}

// startEvery is how often a job that has not started is asked why.
const startEvery = time.Second

// starting shows why an atom has not started, until it has or ctx ends.
func (d *display) starting(ctx context.Context, get func(context.Context) (atom.Atom, error)) {
	defer d.over()
	tick := time.NewTicker(startEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		one, err := get(ctx)
		switch {
		case ctx.Err() != nil, errdefs.IsPermissionDenied(err):
			return
		case err != nil: // told by those who need an answer
		case one.State() != atom.Created:
			return
		default:
			if info := atom.InfoOf(one); info.Message != "" {
				d.show(atom.Progress{Backend: backendOf(info.ID), Text: info.Message})
			}
		}
	}
}
