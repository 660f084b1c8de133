package kube

import (
	"context"
	"io"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/atom-router/atom-router/atom"
)

// A pass is one of the API server's log streams, from where the one before ended.

func (s *logSource) tryOpen(now *record) error {
	if s.tail != 0 {
		if err := s.tryTail(now); err != nil {
			return err
		}
	}
	s.final = now.over
	follow := !s.final && !s.noFollow
	ctx, cancel := context.WithCancel(s.ctx)
	body, err := s.ask(ctx, now, follow, s.pos)
	if err != nil {
		cancel()
		return err
	}
	s.lines, s.fresh, s.kept = newLines(body), false, nil
	s.search = nil
	if s.pos.at != 0 {
		s.search = &search{to: s.pos}
	}
	s.seeking.Store(s.search != nil)
	s.heard.Store(time.Now().UnixNano())
	s.drop = func() {
		cancel()
		body.Close()
	}
	if follow {
		s.e.work.Go(func() { s.guard(ctx, cancel) }) // ends with ctx, which the pass ends
	}
	return nil
}

// ask requests the log from some time before a position on.
func (s *logSource) ask(ctx context.Context, now *record, follow bool, from position) (io.ReadCloser, error) {
	o := corev1.PodLogOptions{Container: containerName, Follow: follow, Timestamps: true}
	at := s.since
	if from.at != 0 {
		at = from.at - disorder
	}
	if at > 0 {
		// Whole seconds, rounded down, are all that the API takes.
		since := metav1.NewTime(time.Unix(at/1e9, 0).UTC())
		o.SinceTime = &since
	}
	body, err := s.e.api.logs(ctx, now.name, o)
	if err == nil {
		return body, nil
	}
	err = s.e.api.fault(ctx, err)
	switch {
	case s.ctx.Err() != nil:
		return nil, endOf(s.ctx)
	case errdefs.IsInvalidArgument(err) && strings.Contains(err.Error(), "waiting to start"),
		errdefs.IsNotFound(err), errdefs.IsInternal(err):
		// It has not started, after all; or its kubelet does not know it
		// yet, or any more. If the pod is gone, we are told.
		if _, live := s.e.find(ctx, now.info.ID, now.owner, true); isNotFound(live) {
			return nil, atom.Errorf(errdefs.ErrNotFound, "the atom was deleted while its log was read")
		}
		return nil, atom.Errorf(errdefs.ErrUnavailable, "%w", err)
	}
	return nil, err
}

// guard ends a follow that does not end by itself: one that is silent after
// the job's end, that does not find its position, or that the log has left
// behind, as follows do now and then (kubernetes/kubernetes#115701).
func (s *logSource) guard(ctx context.Context, cancel context.CancelFunc) {
	now, _ := s.ticket.now()
	t := s.e.watch.pods.join(now)
	defer t.leave()
	tick := time.NewTicker(hangGrace)
	defer tick.Stop()
	began := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.look:
			continue // the next tick looks
		case <-tick.C:
		}
		silent := time.Since(time.Unix(0, s.heard.Load()))
		now, gone := t.now()
		switch {
		case (now.over || gone) && silent >= hangGrace:
		case s.seeking.Load() && time.Since(began) >= searchTime:
		case silent >= quietTime && s.behind(ctx, now):
			s.e.log.Warn("a followed log fell silent and is taken up again", "pod", now.name)
		default:
			continue
		}
		cancel()
		return
	}
}

// behind reports whether the log holds lines younger than the last one that
// the follow gave.
func (s *logSource) behind(ctx context.Context, now *record) bool {
	s.heard.Store(time.Now().UnixNano()) // look again after another quietTime
	last := s.reached.Load()
	body, err := s.ask(ctx, now, false, position{at: max(last, 1)})
	if err != nil {
		return false
	}
	defer body.Close()
	for l := newLines(body); ; {
		p, err := l.next()
		if err != nil {
			return false
		}
		if p.begins && p.at > last+disorder {
			return true
		}
	}
}

// read gives the next chunk of the pass in progress.
func (s *logSource) read(buf []byte) (atom.LogChunk, error) {
	if s.kept != nil {
		return atom.LogChunk{}, s.kept
	}
	var chunk atom.LogChunk
	for {
		if chunk.Data != nil && (s.split || !s.lines.ready() || len(chunk.Data) >= chunkBytes) {
			chunk.Cursor = s.pos.cursor()
			return chunk, nil
		}
		p, err := s.lines.next()
		var data []byte
		if err == nil {
			s.heard.Store(time.Now().UnixNano())
			data, err = s.pass(p)
		}
		if err != nil {
			if chunk.Data != nil {
				s.kept = err // the next call gives it
				chunk.Cursor = s.pos.cursor()
				return chunk, nil
			}
			return atom.LogChunk{}, err
		}
		if len(data) == 0 {
			continue
		}
		s.shown = max(s.shown, p.at)
		at := time.Unix(0, s.shown).UTC()
		switch {
		case chunk.Data == nil:
			if cap(buf) < len(data) {
				buf = make([]byte, 0, max(len(data), 512))
			}
			chunk = atom.LogChunk{Time: at, Data: buf[:0]}
		case !chunk.Time.Equal(at):
			chunk.Time = time.Time{} // there is no one time of all its lines
		}
		chunk.Data = append(chunk.Data, data...)
	}
}

// pass moves the position over a piece and returns what of it the reader is to
// have.
func (s *logSource) pass(p piece) ([]byte, error) {
	if p.at == unstamped {
		return nil, nil // of a line that is older than what was asked for
	}
	if s.search != nil {
		rest, found := s.search.pass(p)
		switch {
		case found:
			s.search, s.missed = nil, 0
			s.seeking.Store(false)
		case p.at > s.pos.at+disorder:
			return nil, errRotated
		}
		if len(rest) == 0 {
			return nil, nil
		}
		p = piece{at: p.at, data: rest}
	}
	mute := s.pos.mute && !p.begins
	s.pos.move(p)
	s.pos.mute = mute && s.pos.open
	s.fresh, s.tries = true, 0
	s.reached.Store(p.at)
	if mute || p.at < s.since {
		return nil, nil
	}
	return p.data, nil
}

var errRotated = atom.Errorf(errdefs.ErrDataLoss, "the log does not hold any more what was read last: it was rotated away, so output may be missing")
