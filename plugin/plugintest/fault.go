package plugintest

import (
	"context"
	"fmt"
	"syscall"
	"time"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/atom/atomtest"
)

func (c Candidate) faultPromises() []atomtest.Promise {
	return []atomtest.Promise{
		{Name: "SIGINT and SIGTERM are left to its host", Check: c.with(func(ctx context.Context, p *process, e *atomtest.Env) error {
			for _, s := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
				if err := p.signal(s); err != nil {
					return err
				}
				select {
				case <-p.done:
					return fmt.Errorf("it ended with %v, which reaches whole process groups; want it to go on until its host ends it", s)
				case <-time.After(700 * time.Millisecond): // for one that ends in order
				}
			}
			_, err := e.List(ctx, noTime, noTime)
			return err
		})},
		{Name: "a plugin that stood still goes on where it was", Check: c.with(func(ctx context.Context, p *process, e *atomtest.Env) error {
			waited := make(chan error, 2)
			// One job ends while the plugin stands still, the other later.
			for _, sleep := range []string{"300ms", "2s"} {
				a, err := e.StartReady(ctx, "print", "ready", ";", "sleep", sleep, ";", "exit", "3")
				if err != nil {
					return err
				}
				go func() { waited <- finished(ctx, e, a.ID(), "ready\n") }() // ends with ctx at the latest
			}
			if err := p.standStill(ctx); err != nil {
				return err
			}
			time.Sleep(time.Second)
			if err := p.signal(syscall.SIGCONT); err != nil {
				return err
			}
			for range 2 {
				select {
				case err := <-waited:
					if err != nil {
						return err
					}
				case <-time.After(2 * soon):
					return fmt.Errorf("after it stood still, a wait for a job that has ended does not end within %v", 2*soon)
				}
			}
			return nil
		})},
		{Name: "an atom outlives a plugin that is killed, and the next one finds it", Needs: []atom.Capability{atom.CapDurable}, Check: c.checkOutlives},
		{Name: "a create that a kill cut short makes one atom when it is asked again", Needs: []atom.Capability{atom.CapLookup}, Check: c.checkCutShort},
		{Name: "two plugins of one backend see the same atoms", Needs: []atom.Capability{atom.CapDurable}, Check: c.with(func(ctx context.Context, _ *process, e *atomtest.Env) error {
			other, err := c.begin(ctx)
			if err != nil {
				return err
			}
			defer other.close()
			there := at(e, other)
			a, err := e.Start(ctx, "print", "seen", ";", "exit", "3")
			if err != nil {
				return err
			}
			return finished(ctx, there, a.ID(), "seen\n")
		})},
	}
}

// finished says whether an atom ends with this output and exit code 3.
func finished(ctx context.Context, e *atomtest.Env, id, output string) error {
	a, err := e.Wait(ctx, id)
	if err != nil {
		return err
	}
	if code := atom.InfoOf(a).ExitCode; a.Result() != atom.Failure || code == nil || *code != 3 {
		return fmt.Errorf("the job that exits 3 ended with %s: %+v", a.Result(), atom.InfoOf(a))
	}
	out, err := e.Read(ctx, id, nil)
	if err == nil && string(out) != output {
		err = fmt.Errorf("its output is %q; want %q", out, output)
	}
	return err
}

// checkOutlives kills the plugin under a job and asks another about that.
func (c Candidate) checkOutlives(ctx context.Context, e *atomtest.Env) error {
	first, err := c.begin(ctx)
	if err != nil {
		return err
	}
	defer first.close()
	a, err := at(e, first).StartReady(ctx, "print", "ready", ";", "sleep", "2s", ";", "print", "after", ";", "exit", "3")
	if err != nil {
		return first.why(err)
	}
	first.kill()
	<-first.done
	second, err := c.begin(ctx)
	if err != nil {
		return fmt.Errorf("a second plugin, after the first was killed: %w", err)
	}
	defer second.close()
	there := at(e, second)
	now, err := there.Get(ctx, a.ID())
	if err != nil {
		return second.why(fmt.Errorf("after its plugin was killed, the next one does not know the atom: %w", err))
	}
	if now.State().Done() && now.Result() != atom.Failure {
		return fmt.Errorf("after its plugin was killed, the job is %s/%s", now.State(), now.Result())
	}
	if err := finished(ctx, there, a.ID(), "ready\nafter\n"); err != nil {
		return second.why(fmt.Errorf("after its plugin was killed: %w", err))
	}
	return nil
}

// checkCutShort kills plugins at several moments of a Create.
func (c Candidate) checkCutShort(ctx context.Context, e *atomtest.Env) error {
	for _, after := range []time.Duration{0, 3 * time.Millisecond, 15 * time.Millisecond, 60 * time.Millisecond} {
		if err := c.cutShort(ctx, e, after); err != nil {
			return fmt.Errorf("killed %v after the call: %w", after, err)
		}
	}
	return nil
}

func (c Candidate) cutShort(ctx context.Context, e *atomtest.Env, after time.Duration) error {
	r := e.Request("sleep", long)
	r.Key = fmt.Sprintf("cut-short-%s-%d", after, time.Now().UnixNano())
	e.Label(r, map[string]string{"cut-short": r.Key})
	first, err := c.begin(ctx)
	if err != nil {
		return err
	}
	defer first.close()
	asked := make(chan error, 1)
	go func() { // ends with the process
		early := *r
		_, err := at(e, first).Create(ctx, &early)
		asked <- err
	}()
	time.Sleep(after)
	first.kill()
	<-first.done
	<-asked // an answer or none: either is right
	second, err := c.begin(ctx)
	if err != nil {
		return err
	}
	defer second.close()
	there := at(e, second)
	a, err := there.Create(ctx, r)
	if err != nil {
		return second.why(fmt.Errorf("the create that is asked again: %w", err))
	}
	list, err := there.List(ctx, a.CreatedAt().Add(-time.Minute), noTime)
	if err != nil {
		return err
	}
	var found []string
	for _, one := range list {
		if atom.InfoOf(one).Labels["cut-short"] == r.Key {
			found = append(found, one.ID())
		}
	}
	if len(found) != 1 || found[0] != a.ID() {
		return fmt.Errorf("the list has %q of it; want %s alone, as the create says that was asked again", found, a.ID())
	}
	return nil
}
