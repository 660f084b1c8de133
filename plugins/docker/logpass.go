package docker

import (
	"context"
	"errors"
	"io"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"

	"github.com/atom-router/atom-router/atom"
)

// A pass is one of the daemon's log streams, from where the one before ended.

func (s *logSource) tryOpen() error {
	c, err := s.e.inspect(s.ctx, s.id)
	if err != nil {
		return s.vanished(err)
	}
	state := infoOf(c).State
	if state == atom.Created {
		if s.noFollow {
			return io.EOF
		}
		if c, err = s.e.awaitStart(s.ctx, s.id); err != nil {
			return s.vanished(err)
		}
		state = infoOf(c).State
	}
	if startFailed(c.State) && !startLost(c.State) {
		return io.EOF
	}
	if s.tail != 0 {
		if err := s.locateTail(); err != nil {
			return err
		}
		s.tail = 0
	}
	s.final = state != atom.Running
	follow := !s.final && !s.noFollow
	s.polls = s.polls.next(s.e.daemon.podman.Load() && !s.final)
	if s.polls != nil {
		follow = false
	}
	ctx, cancel := context.WithCancel(s.ctx)
	timed := !s.plain()
	body, err := s.ask(ctx, container.LogsOptions{Follow: follow, Since: sinceParam(s.pos.from.at), Timestamps: timed}, s.show)
	if err != nil {
		cancel()
		return s.vanished(err)
	}
	if follow {
		s.watchEnd(ctx, cancel)
	}
	s.frames = newFrames(body, timed)
	s.drop = func() {
		cancel()
		body.Close()
	}
	return nil
}

// plain reports that this pass can do without times, which cost the daemon a
// fifth of its speed: nothing asked for needs them, and a log that is not
// written any more is not rotated any more, so that counting its records from
// the beginning is enough to resume.
func (s *logSource) plain() bool {
	return s.final && !s.split && !s.long && s.since == 0 && s.pos.from.at == 0 && (s.back == nil || s.back.to.last == untimed)
}

// ask requests the log.
func (s *logSource) ask(ctx context.Context, o container.LogsOptions, show [3]bool) (io.ReadCloser, error) {
	api, err := s.e.daemon.connect(ctx)
	if err != nil {
		return nil, err
	}
	o.ShowStdout, o.ShowStderr = show[1], show[2]
	body, err := api.ContainerLogs(ctx, s.id, o)
	return body, s.e.daemon.fault(ctx, err)
}

func sinceParam(ns int64) string {
	if ns == 0 {
		return ""
	}
	return unixTime(ns)
}

// vanished says what a container that is gone, or about to be, means to a
// reader of its log.
func (s *logSource) vanished(err error) error {
	// The daemon's words for a log while a container is removed (409).
	if errdefs.IsNotFound(err) || err != nil && strings.Contains(err.Error(), "dead or marked for removal") {
		return atom.Errorf(errdefs.ErrNotFound, "the atom was deleted while its log was read")
	}
	return err
}

// watchEnd ends a follow that stays open after the container's end, as the
// daemon's sometimes do. What it had left is read by the pass that follows.
func (s *logSource) watchEnd(ctx context.Context, cancel context.CancelFunc) {
	t := s.e.watch.join(s.id)
	s.e.work.Add(1) // ends with ctx, which the pass ends
	go func() {
		defer s.e.work.Done()
		defer t.leave()
		for {
			c, err := s.e.inspect(ctx, s.id)
			if err == nil && infoOf(c).State != atom.Running || errdefs.IsNotFound(err) {
				break
			}
			select {
			case <-ctx.Done():
				return
			case <-t.look:
			}
		}
		if pause(ctx, hangGrace) == nil {
			cancel()
		}
	}()
}

// read gives the next chunk of the pass in progress.
func (s *logSource) read(buf []byte) (atom.LogChunk, error) {
	var chunk atom.LogChunk
	var stream int
	for {
		if chunk.Data != nil {
			next, size, ok := s.frames.ready()
			if s.split || s.polls != nil || !ok || next != stream || len(chunk.Data)+size > chunkBytes {
				chunk.Cursor = s.pos.cursor()
				return chunk, nil
			}
		}
		r, err := s.polls.take(s.frames)
		if err == nil && !s.frames.timed && r.piece() {
			err = errLong
		}
		if err != nil {
			if chunk.Data != nil {
				// The daemon's word comes again with the next call.
				chunk.Cursor = s.pos.cursor()
				s.frames.fail(err)
				return chunk, nil
			}
			return atom.LogChunk{}, err
		}
		if r.data, err = s.pass(r); err != nil {
			return atom.LogChunk{}, err
		}
		if len(r.data) == 0 {
			continue
		}
		var at time.Time
		if r.at != untimed {
			at = time.Unix(0, r.at).UTC()
		}
		if chunk.Data == nil {
			room := len(r.data)
			if next, _, ok := s.frames.ready(); ok && next == r.stream && !s.split {
				room = max(room, chunkBytes)
			}
			if cap(buf) < room {
				buf = make([]byte, 0, room)
			}
			stream = r.stream
			chunk = atom.LogChunk{Stream: streamNames[stream], Time: at, Data: buf[:0]}
		} else if !chunk.Time.Equal(at) {
			chunk.Time = time.Time{} // there is no one time of all its lines
		}
		chunk.Data = append(chunk.Data, r.data...)
	}
}

// pass moves the position over a record and returns what of it the reader is
// to have.
func (s *logSource) pass(r record) ([]byte, error) {
	floor := s.pos.whole.at
	if s.back != nil {
		floor = s.pos.from.at
	}
	if r.at < floor || !s.show[r.stream] {
		// Daemons since 23 send everything from the first record on that is
		// young enough. Behind the position that is welcome: there, older
		// ones come from a clock that was set back.
		return nil, nil
	}
	begins := r.owed || s.pos.open[r.stream] == 0
	s.recent.add(r)
	if s.back != nil {
		s.pos.move(r)
		s.back.pass(r)
		if s.back.over() {
			if !s.back.intact() {
				return nil, errRotated
			}
			s.back = nil
			s.missed = 0
		}
		return nil, nil
	}
	s.pos.pass(r)
	s.fresh++
	if r.at < s.since {
		return nil, nil
	}
	mute := &s.pos.mute[r.stream]
	if r.owed && *mute {
		// The newline belongs to the line that is left out.
		r.data, *mute = r.data[1:], false
	}
	if begins && s.skip > 0 {
		s.skip--
		*mute = true
	}
	if *mute {
		*mute = !r.ends()
		return nil, nil
	}
	return r.data, nil
}

// errLong ends a pass without times at the first line that is in pieces:
// without them the daemon leaves out empty last pieces, which say where such
// a line ends.
var errLong = errors.New("a line in pieces")

var errRotated = atom.Errorf(errdefs.ErrDataLoss, "the log does not hold any more what was read before: it was rotated away, so output may be missing")
