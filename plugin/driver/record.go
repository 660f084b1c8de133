package driver

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/containerd/errdefs"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/plugin/spool"
)

// record is one atom.
type record struct {
	engine                  *Engine
	owner, native, hash, id string
	created                 time.Time
	stopTimeout             time.Duration
	job                     Job
	output                  *spool.Spool
	ended                   chan struct{} // closed when the job has

	mu   sync.Mutex
	info atom.Info
}

// atom is the atom as it is now.
func (r *record) atom() atom.Atom {
	r.mu.Lock()
	defer r.mu.Unlock()
	return atom.New(r.info, r.engine)
}

func (r *record) done() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.info.State.Done()
}

// move changes the state, where it is from, and tells whether it was.
func (r *record) move(from, to atom.State) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.info.State != from {
		return false
	}
	r.info.State = to
	return true
}

// watch waits for the job's end and records it.
func (r *record) watch() {
	exit, err := r.exit()
	r.mu.Lock()
	r.info.State, r.info.Result, r.info.ExitCode, r.info.StoppedAt = atom.Stopped, exit.Result(), exit.Code, time.Now()
	if err != nil {
		r.info.Message = err.Error()
	}
	r.mu.Unlock()
	r.output.End()
	close(r.ended)
}

// exit asks the job. After a panic of its nobody knows how it ended.
func (r *record) exit() (exit atom.Exit, err error) {
	defer func() {
		if p := recover(); p != nil {
			exit, err = atom.Exit{}, fmt.Errorf("the driver panicked in Wait: %v", p)
		}
	}()
	return r.job.Wait()
}

// wait returns when the job has ended, or with the context's error.
func (r *record) wait(ctx context.Context) error {
	ctx = atom.ContextOr(ctx)
	select {
	case <-r.ended:
		return nil
	default:
	}
	select {
	case <-r.ended:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// stop tells the job to end, unless it has. A panic is an Internal error.
func (r *record) stop(force bool) (err error) {
	if r.done() {
		return nil
	}
	defer func() {
		if p := recover(); p != nil {
			err = atom.Errorf(errdefs.ErrInternal, "the driver panicked in Stop: %v", p)
		}
	}()
	return r.job.Stop(force)
}

// Stop implements atom.Engine. The grace of a Stop that was begun runs out
// whether or not its caller is still there.
func (e *Engine) Stop(q *atom.EngineStopRequest) error {
	r, err := e.find(q.Context, q.Owner, q.ID)
	if err != nil {
		return err
	}
	first := r.move(atom.Running, atom.Stopping)
	if err := r.stop(q.Force); err != nil {
		if first {
			r.move(atom.Stopping, atom.Running)
		}
		return err
	}
	if !q.Force {
		grace := q.Timeout
		if grace <= 0 {
			grace = r.stopTimeout
		}
		grace = (grace + time.Second - 1).Truncate(time.Second)
		timer := time.AfterFunc(grace, func() { _ = r.stop(true) })
		go func() { // ends with the job, within the grace
			<-r.ended
			timer.Stop()
		}()
	}
	return r.wait(q.Context)
}
