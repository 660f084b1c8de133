package router

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/containerd/errdefs"

	"github.com/atom-router/atom-router/atom"
)

// broken is a log that is cut off after some bytes, in chunks of any size of
// which some have cursors.
type broken struct {
	random *rand.Rand
	text   string
	at     int
	until  int // then the plugin is lost; -1 never
	lose   func()
}

func (b *broken) Next() (atom.LogChunk, error) {
	rest := b.text[b.at:]
	if b.until >= 0 && b.at+len(rest) > b.until {
		rest = b.text[b.at:b.until]
	}
	switch {
	case rest == "" && b.until >= 0 && b.at == b.until:
		b.lose()
		return atom.LogChunk{}, errDown
	case rest == "":
		return atom.LogChunk{}, io.EOF
	}
	n := 1 + b.random.IntN(len(rest))
	b.at += n
	chunk := atom.LogChunk{Data: []byte(rest[:n])}
	if b.random.IntN(2) == 0 {
		chunk.Cursor = strconv.Itoa(b.at)
	}
	return chunk, nil
}

func (b *broken) Close() error { return nil }

// However often and wherever the plugin is lost, the reader gets each byte
// once.
func TestLogsAreResumedExactly(t *testing.T) {
	for seed := range uint64(200) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 1))
			text := strings.Repeat("0123456789", 1+random.IntN(10))
			losses := random.IntN(6)
			p := &plug{}
			f := &fake{}
			f.logs = func(r *atom.EngineLogsRequest) (io.ReadCloser, error) {
				b := &broken{random: random, text: text, until: -1, lose: p.kill}
				if r.Cursor != "" {
					var err error
					if b.at, err = strconv.Atoi(r.Cursor); err != nil {
						return nil, err
					}
				}
				if losses > 0 {
					losses--
					b.until = b.at + random.IntN(len(text)-b.at+1)
				}
				return atom.NewLogReader(b, false), nil
			}
			p.engine = f
			e := plugged(t, p)
			defer e.Close()
			logs, err := e.Logs(&atom.EngineLogsRequest{ID: "a:1"})
			if err != nil {
				t.Fatal(err)
			}
			defer logs.Close()
			if got, err := io.ReadAll(logs); err != nil || string(got) != text {
				t.Errorf("seed %d: %q, %v; want %q", seed, got, err, text)
			}
		})
	}
}

// What waits for a plugin that does not come back waits until the backend has
// failed, or its caller has gone.
func TestWaitingForAPluginThatDoesNotComeBack(t *testing.T) {
	for name, ends := range map[string]struct {
		caller time.Duration // 0 is never
		within time.Duration
		is     func(error) bool
	}{
		"until it has failed":   {0, time.Minute, errdefs.IsUnavailable},
		"until its caller goes": {1500 * time.Millisecond, 1500 * time.Millisecond, func(err error) bool { return errors.Is(err, context.Canceled) }},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &plug{}
				lost := make(chan struct{})
				f := with("k")
				f.wait = func(*atom.EngineWaitRequest) error { <-lost; return errDown }
				f.logs = func(*atom.EngineLogsRequest) (io.ReadCloser, error) {
					in, out := io.Pipe()
					go func() { <-lost; out.CloseWithError(errDown) }()
					return in, nil
				}
				p.engine = f
				e := plugged(t, p)
				defer e.Close()
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				waited, read := make(chan error, 1), make(chan error, 1)
				logs, err := e.Logs(&atom.EngineLogsRequest{ID: "a:ns/a1:x", Context: ctx})
				if err != nil {
					t.Fatal(err)
				}
				defer logs.Close()
				go func() {
					_, err := e.Wait(&atom.EngineWaitRequest{ID: "a:ns/a1:x", Context: ctx})
					waited <- err
				}()
				go func() {
					_, err := io.ReadAll(logs)
					read <- err
				}()
				synctest.Wait()
				began := time.Now()
				p.fail = errDown
				p.kill()
				close(lost)
				if ends.caller > 0 {
					time.AfterFunc(ends.caller, cancel)
				}
				for what, end := range map[string]chan error{"Wait": waited, "Logs": read} {
					if err := <-end; !ends.is(err) || time.Since(began) > ends.within {
						t.Errorf("%s ends after %v with %v", what, time.Since(began), err)
					}
				}
				if state := e.Backends()[0].State; ends.caller == 0 && state != Failed {
					t.Errorf("they ended while it was %s", state)
				}
			})
		})
	}
}
