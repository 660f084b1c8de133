package memengine

import (
	"time"

	"github.com/atom-router/atom-router/atom"
)

// Wait implements atom.Engine.
func (e *Engine) Wait(q *atom.EngineWaitRequest) (atom.Atom, error) {
	r, err := e.find(q.Context, q.Owner, q.ID)
	if err != nil {
		return nil, err
	}
	for {
		info, gone, changed := r.look()
		switch {
		case info.State.Done():
			return atom.New(info, e), nil
		case gone:
			info.State, info.Result = atom.Deleted, atom.Unknown
			return atom.New(info, e), nil
		}
		select {
		case <-changed:
		case <-atom.ContextOr(q.Context).Done():
			return nil, q.Context.Err()
		}
	}
}

// Stop implements atom.Engine. The grace of a Stop that was begun runs out
// whether or not its caller is still there.
func (e *Engine) Stop(q *atom.EngineStopRequest) error {
	r, err := e.find(q.Context, q.Owner, q.ID)
	if err != nil {
		return err
	}
	grace := q.Timeout
	if grace == 0 {
		grace = r.stopTimeout
	}
	if grace <= 0 {
		grace = DefaultStopTimeout
	}
	grace = (grace + time.Second - 1).Truncate(time.Second)
	r.update(func() {
		if !r.info.State.Done() {
			r.info.State = atom.Stopping
		}
	})
	if q.Force {
		r.kill()
	} else {
		timer := time.AfterFunc(grace, r.kill)
		r.terminate()
		go func() { // ends with the process, within the grace
			<-r.ended
			timer.Stop()
		}()
	}
	select {
	case <-r.ended:
		return nil
	case <-atom.ContextOr(q.Context).Done():
		return q.Context.Err()
	}
}
