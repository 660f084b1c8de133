package top

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gdamore/tcell/v2"
	"go.uber.org/goleak"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/router"
)

// fleet is one backend with one atom, which writes until it is stopped.
type fleet struct {
	atom.Engine // the methods that are not called
	mu          sync.Mutex
	state       atom.State
	stopped     chan struct{}
	panics      bool
}

func (f *fleet) ProbeBackends(ctx context.Context, _ ...string) ([]router.BackendStatus, error) {
	if f.panics {
		panic("in a probe")
	}
	return []router.BackendStatus{{Name: "mem", State: router.Ready}}, ctx.Err()
}

func (f *fleet) ListBackends(r *atom.EngineListRequest, _ ...string) ([]atom.Atom, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return []atom.Atom{atom.New(atom.Info{ID: "mem:one", Name: "nightly", State: f.state, CreatedAt: time.Now()}, nil)}, r.Context.Err()
}

func (f *fleet) Logs(r *atom.EngineLogsRequest) (io.ReadCloser, error) {
	out, in := io.Pipe()
	go func() { // ends with Close
		for {
			if _, err := io.WriteString(in, "line of the job\n"); err != nil {
				return
			}
		}
	}()
	context.AfterFunc(r.Context, func() { in.CloseWithError(r.Context.Err()) })
	return out, nil
}

func (f *fleet) Stop(r *atom.EngineStopRequest) error {
	if r.ID != "mem:one" {
		return errors.New("no such atom")
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.state = atom.Stopped
	close(f.stopped)
	return nil
}

// recorder is a simulated screen that notes what it showed last, and whether it
// was given back.
type recorder struct {
	tcell.SimulationScreen
	mu   sync.Mutex
	text string
	over bool
}

func newRecorder() *recorder { return &recorder{SimulationScreen: tcell.NewSimulationScreen("UTF-8")} }

func (r *recorder) Show() {
	r.SimulationScreen.Show()
	cells, _, _ := r.GetContents()
	var all strings.Builder
	for _, c := range cells {
		all.WriteString(string(c.Runes))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.text = all.String()
}

func (r *recorder) Fini() {
	r.over = true
	r.SimulationScreen.Fini()
}

// shown waits until a text stands on the screen.
func (r *recorder) shown(t *testing.T, text string) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		r.mu.Lock()
		all := r.text
		r.mu.Unlock()
		if strings.Contains(all, text) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%q is not shown:\n%s", text, all)
		}
	}
}

func TestRun(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	f := &fleet{state: atom.Running, stopped: make(chan struct{})}
	screen := newRecorder()
	done := make(chan error, 1)
	go func() { done <- Run(t.Context(), f, screen) }()
	letter := func(r rune) { screen.InjectKey(tcell.KeyRune, r, 0) }
	screen.shown(t, "nightly")
	screen.InjectKey(tcell.KeyEnter, 0, 0)
	screen.shown(t, "line of the job")
	letter('q') // back
	screen.shown(t, "/ filter")
	letter('s')
	screen.shown(t, "stop mem:one?")
	letter('y')
	<-f.stopped
	screen.shown(t, "stopped mem:one")
	screen.shown(t, "no atom is alive")
	letter('q')
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// However it ends, the screen is given back and nothing goes on.
func TestRunEnds(t *testing.T) {
	for name, end := range map[string]func(*fleet, *recorder, context.CancelFunc){
		"with its context": func(_ *fleet, _ *recorder, cancel context.CancelFunc) { cancel() },
		"with its terminal": func(_ *fleet, s *recorder, _ context.CancelFunc) {
			s.PostEvent(tcell.NewEventError(io.EOF))
		},
		"with a panic": nil,
	} {
		t.Run(name, func(t *testing.T) {
			defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			f := &fleet{state: atom.Running, panics: end == nil}
			screen := newRecorder()
			done := make(chan error, 1)
			go func() { done <- Run(ctx, f, screen) }()
			if end != nil {
				screen.shown(t, "nightly")
				screen.InjectKey(tcell.KeyEnter, 0, 0)
				screen.shown(t, "line of the job")
				end(f, screen, cancel)
			}
			err := <-done
			if !screen.over || err == nil || f.panics != strings.Contains(err.Error(), "panic: in a probe") {
				t.Errorf("given back: %v; error %v", screen.over, err)
			}
		})
	}
}
