package router

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/containerd/errdefs"

	"github.com/atom-router/atom-router/internal/backoff"
)

// When a backend is tried again that was lost, or did not get ready.

const (
	// A plugin that lived so long has no part in an earlier trouble.
	stableAfter = time.Minute
	// So many launches in a row that never got ready open the breaker.
	breakerAfter = 5
	// An open breaker lets a launch pass again after this long.
	breakerOpen = time.Minute
	// A call waits at most so long for a lost plugin's turn to be started
	// again; one that could not be started at all fails at once.
	restartWait = 5 * time.Second
)

// pause is how long to leave the backend alone now: the first restart is
// immediate. Called with mu held.
func (s *supervisor) pause() time.Duration {
	switch {
	case s.attached:
		return attachPause
	case s.patience > 0:
		return backoff.Redial.After(s.troubles, rand.Int64N)
	}
	return backoff.Launch.After(s.troubles, rand.Int64N)
}

// retry notes when to try again after an attempt that failed, and whether the
// backend has failed with it. Called with mu held.
func (s *supervisor) retry(err error) {
	if s.lostAt.IsZero() {
		s.lostAt = time.Now()
	}
	away := time.Since(s.lostAt)
	pause, failed := s.pause(), s.unready >= breakerAfter && !s.attached
	if s.patience > 0 {
		failed = away >= s.patience
	}
	s.lost = s.lost && s.patience > 0 && away < restartWait
	switch {
	case errdefs.IsInvalidArgument(err) && !s.attached, failed && s.patience == 0:
		s.lost = false
		s.retryAt = time.Now().Add(breakerOpen)
		s.turn(Failed, err)
	case failed:
		s.retryAt = time.Now().Add(pause)
		s.turn(Failed, err)
	default:
		s.retryAt = time.Now().Add(pause)
		s.turn(BackingOff, err)
	}
}

// expected reports whether what was lost may well be back soon, although an
// attempt to reach it failed.
func (s *supervisor) expected() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lost && s.patience > 0 && !s.closed
}

// next is the instance after one that was lost. Other than instance it waits
// for as long as the backend is backing off.
func (s *supervisor) next(ctx context.Context) (*instance, error) {
	for {
		i, err := s.instance(ctx)
		if err == nil || ctx.Err() != nil {
			return i, err
		}
		wait, failed := s.retryIn()
		if failed {
			return nil, err
		}
		if err := s.sleep(ctx, wait); err != nil {
			return nil, err
		}
	}
}

// retryIn is when a launch may be tried again, or that the backend has failed.
func (s *supervisor) retryIn() (wait time.Duration, failed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return max(time.Until(s.retryAt), 10*time.Millisecond), s.closed || s.state == Failed
}

func (s *supervisor) sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-s.life.Done():
		return errClosed()
	}
}
