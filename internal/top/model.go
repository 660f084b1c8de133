// Package top is a live view of backends and atoms in a terminal. The Model is
// all of it but the terminal; Run puts one on a screen.
package top

import (
	"slices"
	"strings"
	"time"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/internal/watch"
	"github.com/atom-router/atom-router/router"
)

// Key is one that the view knows; others are a KeyRune.
type Key int

const (
	KeyRune Key = iota
	KeyUp
	KeyDown
	KeyPageUp
	KeyPageDown
	KeyHome
	KeyEnd
	KeyEnter
	KeyEscape
	KeyBackspace
)

// Action is what a key asks to be done outside of the model.
type Action int

const (
	None Action = iota
	Quit
	OpenLogs  // of the atom; what is added by AddLog
	CloseLogs // that were open
	Stop      // the atom
)

// Model is what the view shows, and what its keys do. It is for one goroutine.
type Model struct {
	width, height int
	backends      []router.BackendStatus
	seen          watch.Atoms
	atoms         []atom.Info // those that are shown, oldest first
	trouble       []string    // what the last look could not see
	looked        bool

	selected string // the ID
	first    int    // the topmost atom on the screen
	finished bool   // show stopped atoms too
	filter   string
	typing   bool   // the filter
	stopping string // the ID that is to be confirmed
	note     string // what was done last
	logs     *logView
}

// Resize tells how large the screen is.
func (m *Model) Resize(width, height int) { m.width, m.height = width, height }

// Look takes in what there is: the answers of ProbeBackends and List, their
// errors too.
func (m *Model) Look(backends []router.BackendStatus, berr error, atoms []atom.Atom, aerr error) {
	m.looked, m.trouble = true, nil
	if berr == nil {
		m.backends = backends
	} else {
		m.trouble = append(m.trouble, berr.Error())
	}
	m.seen.Look(atoms, aerr)
	if aerr != nil {
		m.trouble = append(m.trouble, aerr.Error())
	}
	m.choose()
}

// Note shows what came of an action until the next key.
func (m *Model) Note(text string) { m.note = text }

// Target is the ID of the atom that actions are about: the one whose logs are
// shown, or else the selected one; "" for none.
func (m *Model) Target() string {
	if m.logs != nil {
		return m.logs.id
	}
	return m.selected
}

// choose works out which atoms are shown. The selection stays on its atom, or
// goes to its neighbour where that is gone.
func (m *Model) choose() {
	at := max(m.index(), 0)
	m.atoms = slices.DeleteFunc(m.seen.All(), func(i atom.Info) bool {
		return !m.finished && i.State.Done() || !m.fits(i)
	})
	if m.index() < 0 {
		m.selected = ""
		if len(m.atoms) > 0 {
			m.selected = m.atoms[min(at, len(m.atoms)-1)].ID
		}
	}
}

// fits reports whether all words of the filter are somewhere in what is shown
// of an atom.
func (m *Model) fits(i atom.Info) bool {
	text := strings.ToLower(strings.Join([]string{i.ID, i.Name, i.Image, string(i.State), i.Rule}, " "))
	for _, word := range strings.Fields(strings.ToLower(m.filter)) {
		if !strings.Contains(text, word) {
			return false
		}
	}
	return true
}

func (m *Model) index() int {
	return slices.IndexFunc(m.atoms, func(i atom.Info) bool { return i.ID == m.selected })
}

// move selects the atom so many further.
func (m *Model) move(by int) {
	if len(m.atoms) > 0 {
		m.selected = m.atoms[min(max(m.index()+by, 0), len(m.atoms)-1)].ID
	}
}

// Press does what a key is for; r is the character of a KeyRune.
func (m *Model) Press(k Key, r rune) Action {
	m.note = ""
	switch {
	case m.stopping != "":
		return m.confirm(k, r)
	case m.typing:
		m.edit(k, r)
		return None
	case m.logs != nil:
		return m.scroll(k, r)
	}
	switch k {
	case KeyUp:
		m.move(-1)
	case KeyDown:
		m.move(1)
	case KeyPageUp:
		m.move(-m.room())
	case KeyPageDown:
		m.move(m.room())
	case KeyHome:
		m.move(-len(m.atoms))
	case KeyEnd:
		m.move(len(m.atoms))
	case KeyEnter:
		return m.open()
	case KeyEscape:
		m.filter = ""
		m.choose()
	case KeyRune:
		return m.letter(r)
	}
	return None
}

func (m *Model) letter(r rune) Action {
	switch r {
	case 'q':
		return Quit
	case 'k':
		m.move(-1)
	case 'j':
		m.move(1)
	case 'g':
		m.move(-len(m.atoms))
	case 'G':
		m.move(len(m.atoms))
	case 'l':
		return m.open()
	case 'a':
		m.finished = !m.finished
		m.choose()
	case '/':
		m.typing = true
	case 's':
		m.stopping = m.selected
	}
	return None
}

// confirm takes the answer to whether to stop the atom.
func (m *Model) confirm(k Key, r rune) Action {
	id := m.stopping
	m.stopping = ""
	if k != KeyRune || r != 'y' && r != 'Y' {
		m.note = "not stopped"
		return None
	}
	if m.Target() != id {
		// Gone while the question stood there.
		m.note = "it is gone"
		return None
	}
	return Stop
}

func (m *Model) edit(k Key, r rune) {
	switch k {
	case KeyEnter:
		m.typing = false
	case KeyEscape:
		m.typing, m.filter = false, ""
	case KeyBackspace:
		letters := []rune(m.filter)
		m.filter = string(letters[:max(len(letters)-1, 0)])
	case KeyRune:
		m.filter += string(r)
	}
	m.choose()
}

// shown is the ID's atom as it was seen last.
func (m *Model) shown(id string) (atom.Info, bool) {
	for _, i := range m.seen.All() {
		if i.ID == id {
			return i, true
		}
	}
	return atom.Info{}, false
}

// age is how long ago something was, in its largest unit.
func age(at, now time.Time) string {
	d := now.Sub(at)
	switch {
	case at.IsZero():
		return "-"
	case d < time.Minute:
		return count(d, time.Second, "s")
	case d < time.Hour:
		return count(d, time.Minute, "m")
	case d < 48*time.Hour:
		return count(d, time.Hour, "h")
	}
	return count(d, 24*time.Hour, "d")
}
