package load

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/containerd/errdefs"

	"github.com/atom-router/atom-router/atom"
)

// A client that has no answer leaves the daemon alone for a while before it
// asks again.
const (
	firstPause = 20 * time.Millisecond
	lastPause  = time.Second
)

// client runs one job after the other.
type client struct {
	engine Engine
	name   string
	runs   string // the file that its jobs write their keys to
	begun  int
	took   []time.Duration
	again  int
}

// key is of its nth job.
func (c *client) key(n int) string { return fmt.Sprintf("%s-%05d", c.name, n) }

// job runs the next one and checks what it hears of it.
func (c *client) job(ctx context.Context) error {
	began := time.Now()
	key, code := c.key(c.begun), c.begun%3
	c.begun++
	if err := c.run(ctx, key, code); err != nil {
		return fmt.Errorf("job %s: %w", key, err)
	}
	c.took = append(c.took, time.Since(began))
	return nil
}

func (c *client) run(ctx context.Context, key string, code int) error {
	var a atom.Atom
	err := c.insist(ctx, func() (err error) {
		a, err = c.engine.Create(&atom.EngineCreateRequest{
			Context: ctx, Key: key, Name: key, Image: "none",
			Command: []string{"sh", "-c", `echo "$0" >>"$1"; echo "$0"; exit "$2"`, key, c.runs, fmt.Sprint(code)},
		})
		return err
	})
	if err != nil {
		return err
	}
	id := a.ID()
	if err := c.insist(ctx, func() (err error) {
		a, err = c.engine.Wait(&atom.EngineWaitRequest{Context: ctx, ID: id})
		return err
	}); err != nil {
		return err
	}
	if got := atom.InfoOf(a).ExitCode; got == nil || *got != code {
		return fmt.Errorf("%s is %s, %s, without the exit code %d: %s", id, a.State(), a.Result(), code, atom.InfoOf(a).Message)
	}
	var output strings.Builder
	if err := c.insist(ctx, func() error {
		output.Reset()
		logs, err := c.engine.Logs(&atom.EngineLogsRequest{Context: ctx, ID: id})
		if err != nil {
			return err
		}
		defer logs.Close()
		return atom.CopyLogs(&output, &output, logs)
	}); err != nil {
		return err
	}
	if output.String() != key+"\n" {
		return fmt.Errorf("the output of %s is %q", id, output.String())
	}
	asked := 0
	return c.insist(ctx, func() error {
		asked++
		err := c.engine.Delete(&atom.EngineDeleteRequest{Context: ctx, ID: id})
		if asked > 1 && errdefs.IsNotFound(err) {
			err = nil // the time before did it, and could not say so
		}
		return err
	})
}

// insist calls until there is an answer: while nobody can be asked, or it is
// not known what has come of it, the call is made again, as docs/library.md
// says.
func (c *client) insist(ctx context.Context, call func() error) error {
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		err := call()
		if !errdefs.IsUnavailable(err) || ctx.Err() != nil {
			return err
		}
		c.again++
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return fmt.Errorf("%w, after %w", ctx.Err(), err)
		}
	}
}
