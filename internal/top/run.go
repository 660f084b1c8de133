package top

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/gdamore/tcell/v2"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/internal/watch"
	"github.com/atom-router/atom-router/router"
)

// Fleet is what the view looks at and acts on: a *router.Engine, or one from
// afar.
type Fleet interface {
	atom.Engine
	ProbeBackends(ctx context.Context, names ...string) ([]router.BackendStatus, error)
	ListBackends(req *atom.EngineListRequest, names ...string) ([]atom.Atom, error)
}

// Run shows the fleet on a screen, which it initializes, until its user is done
// (nil) or ctx ends (its error). The terminal is as it was when Run returns,
// also after a panic, which is an error then. Nothing that it began is left.
func Run(ctx context.Context, fleet Fleet, screen tcell.Screen) (err error) {
	if err := screen.Init(); err != nil {
		return fmt.Errorf("preparing the terminal: %w", err)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	s := &show{fleet: fleet, screen: screen, ctx: ctx, fail: cancel, events: make(chan func())}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
		cancel(nil)
		screen.Fini()
		s.work.Wait()
	}()
	return s.run()
}

// show is one Run.
type show struct {
	fleet  Fleet
	screen tcell.Screen
	model  Model
	ctx    context.Context
	fail   context.CancelCauseFunc
	events chan func() // what changes the model, which is the main goroutine's
	work   sync.WaitGroup
	// closeLogs ends the logs that are open; nil where none are.
	closeLogs context.CancelFunc
}

// many is how many events are taken in before the screen is drawn again: a
// flood of logs must not cost a drawing for each piece.
const many = 100

func (s *show) run() error {
	s.model.Resize(s.screen.Size())
	s.begin(s.input)
	s.begin(s.look)
	for {
		s.draw()
		select {
		case <-s.ctx.Done():
			return s.end()
		case event := <-s.events:
			event()
		}
		for range many {
			select {
			case event := <-s.events:
				event()
				continue
			default:
			}
			break
		}
	}
}

// errQuit is why a show ends that its user has seen enough of.
var errQuit = errors.New("quit")

func (s *show) end() error {
	if err := context.Cause(s.ctx); !errors.Is(err, errQuit) {
		return err
	}
	return nil
}

// begin runs f beside the main goroutine; a panic of it ends the show.
func (s *show) begin(f func()) {
	s.work.Go(func() { // f ends with ctx, or with the screen
		defer func() {
			if p := recover(); p != nil {
				s.fail(fmt.Errorf("panic: %v", p))
			}
		}()
		f()
	})
}

// post has the main goroutine do something.
func (s *show) post(event func()) {
	select {
	case s.events <- event:
	case <-s.ctx.Done():
	}
}

// input passes on what the terminal says, until it is given back.
func (s *show) input() {
	for {
		switch event := s.screen.PollEvent().(type) {
		case nil:
			return
		case *tcell.EventError: // the terminal is gone
			s.fail(event)
		case *tcell.EventResize:
			s.post(func() {
				s.model.Resize(event.Size())
				s.screen.Sync()
			})
		case *tcell.EventKey:
			s.post(func() { s.press(event) })
		}
	}
}

// look asks the fleet, again and again.
func (s *show) look() {
	var pace watch.Pace
	var seen watch.Atoms
	for {
		began := time.Now()
		var backends []router.BackendStatus
		var berr error
		probed := make(chan struct{})
		s.begin(func() {
			defer close(probed)
			backends, berr = s.fleet.ProbeBackends(s.ctx)
		})
		atoms, aerr := s.fleet.ListBackends(&atom.EngineListRequest{Context: s.ctx})
		<-probed
		changed := !seen.Look(atoms, aerr).None()
		s.post(func() { s.model.Look(backends, berr, atoms, aerr) })
		again := time.NewTimer(pace.Next(changed, time.Since(began)))
		select {
		case <-again.C:
		case <-s.ctx.Done():
			again.Stop()
			return
		}
	}
}

var keys = map[tcell.Key]Key{
	tcell.KeyUp: KeyUp, tcell.KeyDown: KeyDown, tcell.KeyPgUp: KeyPageUp, tcell.KeyPgDn: KeyPageDown,
	tcell.KeyHome: KeyHome, tcell.KeyEnd: KeyEnd, tcell.KeyEnter: KeyEnter, tcell.KeyEscape: KeyEscape,
	tcell.KeyBackspace: KeyBackspace, tcell.KeyBackspace2: KeyBackspace,
}

func (s *show) press(event *tcell.EventKey) {
	key, known := keys[event.Key()]
	switch {
	case event.Key() == tcell.KeyCtrlC:
		s.fail(errQuit)
		return
	case event.Key() == tcell.KeyCtrlL: // something else wrote on the terminal
		s.screen.Sync()
		return
	case event.Key() == tcell.KeyRune:
		key = KeyRune
	case !known:
		return
	}
	switch s.model.Press(key, event.Rune()) {
	case Quit:
		s.fail(errQuit)
	case OpenLogs:
		s.openLogs(s.model.Target())
	case CloseLogs:
		s.closeLogs()
	case Stop:
		s.stop(s.model.Target())
	}
}

// openLogs follows an atom's logs until they are closed.
func (s *show) openLogs(id string) {
	ctx, cancel := context.WithCancel(s.ctx)
	s.closeLogs = cancel
	s.begin(func() {
		err := s.follow(ctx, id)
		over := "the end"
		if err != nil {
			over = err.Error()
		}
		if ctx.Err() == nil {
			s.post(func() { s.model.AddLog(id, nil, over) })
		}
	})
}

func (s *show) follow(ctx context.Context, id string) error {
	logs, err := s.fleet.Logs(&atom.EngineLogsRequest{ID: id, Tail: keptLines, Context: ctx})
	if err != nil {
		return err
	}
	defer logs.Close()
	buffer := make([]byte, 32<<10)
	for {
		n, err := logs.Read(buffer)
		if n > 0 {
			data := append([]byte(nil), buffer[:n]...)
			s.post(func() {
				if ctx.Err() == nil { // else they were opened anew meanwhile
					s.model.AddLog(id, data, "")
				}
			})
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
	}
}

// stop stops an atom with its grace.
func (s *show) stop(id string) {
	s.model.Note("stopping " + id)
	s.begin(func() {
		note := "stopped " + id
		if err := s.fleet.Stop(&atom.EngineStopRequest{ID: id, Context: s.ctx}); err != nil {
			note = err.Error()
		}
		s.post(func() { s.model.Note(note) })
	})
}

var styles = map[Style]tcell.Style{
	Plain: tcell.StyleDefault, Bold: tcell.StyleDefault.Bold(true), Reverse: tcell.StyleDefault.Reverse(true),
	Faint: tcell.StyleDefault.Dim(true), Alarm: tcell.StyleDefault.Foreground(tcell.ColorMaroon),
}

func (s *show) draw() {
	s.screen.Clear()
	for y, l := range s.model.Lines(time.Now()) {
		s.screen.PutStrStyled(0, y, l.Text, styles[l.Style])
	}
	s.screen.Show()
}
