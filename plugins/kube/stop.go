package kube

import (
	"context"
	"time"

	"github.com/atom-router/atom-router/atom"
)

// Stop ends the atom and returns when it has stopped.
//
// With the grace that the pod was made with, it is the pod's own deadline that
// ends it, and the log stays. Another grace, or Force, takes a deletion, which
// our finalizer turns into an end: state, result and exit code stay, and the
// kubelet removes the log. Once a Stop is under way, the next one waits for
// it, whatever its grace. SIGKILL comes after a grace of a second at least:
// without one the API server would forget the pod while it runs.
func (e *Engine) Stop(r *atom.EngineStopRequest) error {
	ctx, cancel := e.bound(atom.ContextOr(r.Context))
	defer cancel()
	if r.Timeout < 0 {
		return &atom.FieldError{Field: "timeout", Reason: r.Timeout.String() + " is negative"}
	}
	e.watch.start()
	found, err := e.find(ctx, r.ID, r.Owner, false)
	if err != nil {
		return err
	}
	for {
		if found.over || found.doomed {
			break
		}
		next, err := e.beginStop(ctx, found, r)
		if err != nil {
			return err
		}
		if next != nil {
			found = next
			break
		}
		// It changed while we looked.
		if found, err = e.find(ctx, r.ID, r.Owner, true); err != nil {
			if isNotFound(err) {
				return nil // it was there, and is gone
			}
			return err
		}
	}
	_, err = e.await(ctx, found, func(now *record) bool { return now.over })
	return err
}

// beginStop sets about the pod's end; nil says that it is another pod by now.
func (e *Engine) beginStop(ctx context.Context, p *record, r *atom.EngineStopRequest) (*record, error) {
	switch {
	case p.stop != nil && !p.stop.Delete, p.failed != nil:
		return p, nil // under way
	case p.stop != nil:
		return p, e.deletePod(ctx, p, max(1, p.stop.Grace)) // its maker may have died before this
	}
	grace := p.grace
	switch {
	case r.Force:
		grace = 1
	case r.Timeout > 0:
		grace = wholeSeconds(r.Timeout)
	}
	m := stopMark{At: time.Now().UTC(), Grace: max(1, grace)}
	if p.began && !r.Force && grace == p.grace {
		return e.change(ctx, p, map[string]any{
			"metadata": map[string]any{"annotations": map[string]any{labelStop: markText(m)}},
			"spec":     map[string]any{"activeDeadlineSeconds": 1},
		})
	}
	m.Delete = true
	kept, err := e.annotate(ctx, p, labelStop, markText(m), true)
	if err != nil || kept == nil {
		return nil, err
	}
	return kept, e.deletePod(ctx, kept, m.Grace)
}
