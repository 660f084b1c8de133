package top

import (
	"fmt"
	"strings"
	"time"

	"github.com/rivo/uniseg"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/internal/plain"
	"github.com/atom-router/atom-router/internal/watch"
	"github.com/atom-router/atom-router/router"
)

// Style is how a line looks.
type Style int

const (
	Plain Style = iota
	Bold
	Reverse
	Faint
	Alarm
)

// Line is one of the screen's, no wider than it.
type Line struct {
	Text  string
	Style Style
}

// Lines is the screen, as of now: never more lines than it is high.
func (m *Model) Lines(now time.Time) []Line {
	if m.height < 1 || m.width < 1 {
		return nil
	}
	var lines []Line
	if m.logs != nil {
		lines = m.drawLogs()
	} else {
		lines = m.drawAll(now)
	}
	lines = lines[:min(len(lines), max(m.height-2, 0))]
	for len(lines) < m.height-2 {
		lines = append(lines, Line{})
	}
	lines = append(lines, m.drawStatus(), m.drawKeys())
	lines = lines[max(len(lines)-m.height, 0):]
	for i := range lines {
		lines[i].Text = cut(plain.Line(lines[i].Text), m.width)
	}
	return lines
}

func (m *Model) drawAll(now time.Time) []Line {
	alive := make(map[string]int)
	running := 0
	for _, i := range m.seen.All() {
		if !i.State.Done() {
			alive[watch.BackendOf(i.ID)]++
			running++
		}
	}
	title := fmt.Sprintf("atom-router: %s, %s alive", number(len(m.backends), "backend"), number(running, "atom"))
	if !m.looked {
		title = "atom-router: asking the backends"
	}
	lines := []Line{{title, Bold}}
	table := [][]string{{"BACKEND", "STATE", "SINCE", "RESTARTS", "ATOMS", "ERROR"}}
	shown := m.backends[:min(len(m.backends), max(m.height/3, 1))]
	for _, b := range shown {
		why := ""
		if b.State != router.Ready && b.LastError != nil {
			why = b.LastError.Error()
		}
		state := string(b.State)
		if b.Drain {
			state += ", drains"
		}
		table = append(table, []string{b.Name, state, age(b.Since, now), fmt.Sprint(b.Restarts), fmt.Sprint(alive[b.Name]), why})
	}
	for i, text := range columns(table, m.width) {
		style := Plain
		switch {
		case i == 0:
			style = Faint
		case shown[i-1].State != router.Ready:
			style = Alarm
		}
		lines = append(lines, Line{text, style})
	}
	if more := len(m.backends) - len(shown); more > 0 {
		lines = append(lines, Line{fmt.Sprintf("and %d more", more), Faint})
	}
	lines = append(lines, Line{})
	return append(lines, m.drawAtoms(now)...)
}

// room is how many atoms fit on the screen.
func (m *Model) room() int {
	backends := min(len(m.backends), max(m.height/3, 1))
	if backends < len(m.backends) {
		backends++
	}
	return max(m.height-backends-6, 1) // title, two headings, a gap, status and keys
}

func (m *Model) drawAtoms(now time.Time) []Line {
	room, at := m.room(), m.index()
	m.first = min(m.first, max(len(m.atoms)-room, 0))
	if at >= 0 {
		m.first = min(max(m.first, at-room+1), at)
	}
	table := [][]string{{"ATOM", "BACKEND", "NAME", "IMAGE", "STATE", "AGE"}}
	for _, i := range m.atoms[m.first:min(m.first+room, len(m.atoms))] {
		_, native, _ := strings.Cut(i.ID, ":")
		table = append(table, []string{short(native), watch.BackendOf(i.ID), i.Name, i.Image, stateText(i), age(i.CreatedAt, now)})
	}
	var lines []Line
	for n, text := range columns(table, m.width) {
		style := Plain
		switch {
		case n == 0:
			style = Faint
		case m.first+n-1 == at:
			style, text = Reverse, text+strings.Repeat(" ", max(m.width-width(text), 0))
		}
		lines = append(lines, Line{text, style})
	}
	if len(m.atoms) == 0 && m.looked {
		text := "no atom is alive; a shows those that have ended"
		switch {
		case m.filter != "":
			text = "no atom fits the filter"
		case m.finished:
			text = "no atoms"
		}
		lines = append(lines, Line{text, Faint})
	}
	return lines
}

func stateText(i atom.Info) string {
	if i.State == atom.Stopped {
		return string(i.Result)
	}
	return string(i.State)
}

func (m *Model) drawLogs() []Line {
	title := "logs of " + m.logs.id
	if i, ok := m.shown(m.logs.id); ok {
		if i.Name != "" {
			title += ", " + i.Name
		}
		title += ", " + stateText(i)
	}
	lines := []Line{{title, Bold}}
	for _, text := range m.logs.window(max(m.height-3, 0)) {
		lines = append(lines, Line{text, Plain})
	}
	return lines
}

// drawStatus is the line above the keys: what is most urgent to know.
func (m *Model) drawStatus() Line {
	switch {
	case m.stopping != "":
		return Line{"stop " + m.stopping + "? y stops it, any other key does not", Alarm}
	case m.typing:
		return Line{"filter: " + m.filter + "_", Bold}
	case m.note != "":
		return Line{m.note, Bold}
	case len(m.trouble) > 0:
		return Line{strings.ReplaceAll(strings.Join(m.trouble, "; "), "\n", " "), Alarm}
	case m.logs != nil && m.logs.up > 0:
		return Line{fmt.Sprintf("%d lines above the end", m.logs.up), Faint}
	case m.logs != nil && m.logs.over != "":
		return Line{m.logs.over, Faint}
	case m.logs != nil:
		return Line{"follows", Faint}
	case m.filter != "":
		return Line{"filter: " + m.filter, Faint}
	}
	if i, ok := m.shown(m.selected); ok {
		text := i.ID
		if i.Message != "" {
			text += ": " + i.Message
		}
		return Line{text, Faint}
	}
	return Line{}
}

func (m *Model) drawKeys() Line {
	if m.logs != nil {
		return Line{"↑↓ PgUp PgDn scroll  G follow  s stop  Esc back", Reverse}
	}
	if m.typing {
		return Line{"Enter keep  Esc clear", Reverse}
	}
	return Line{"↑↓ select  Enter logs  / filter  s stop  a all  q quit", Reverse}
}

// columns aligns a table's cells and makes its lines fit: the last column gets
// what is left, and the others no more than their share.
func columns(table [][]string, total int) []string {
	n := len(table[0])
	widths := make([]int, n)
	for _, row := range table {
		for i, cell := range row {
			row[i] = plain.Line(strings.ReplaceAll(cell, "\n", " "))
			if row[i] == "" {
				row[i] = "-"
			}
			widths[i] = max(widths[i], width(row[i]))
		}
	}
	// The widest gives way until all fit.
	for {
		sum, widest := 2*(n-1), 0
		for i, w := range widths {
			sum += w
			if w > widths[widest] {
				widest = i
			}
		}
		if sum <= total || widths[widest] <= 4 {
			break
		}
		widths[widest]--
	}
	lines := make([]string, len(table))
	for r, row := range table {
		var text strings.Builder
		for i, cell := range row {
			cell = cut(cell, widths[i])
			text.WriteString(cell)
			if i < n-1 {
				text.WriteString(strings.Repeat(" ", widths[i]-width(cell)+2))
			}
		}
		lines[r] = text.String()
	}
	return lines
}

// width is how many cells of a terminal a text takes.
func width(s string) int { return uniseg.StringWidth(s) }

// cut shortens a text to a width.
func cut(s string, most int) string {
	if width(s) <= most {
		return s
	}
	if most < 1 {
		return ""
	}
	var out strings.Builder
	left := most - 1
	for g := uniseg.NewGraphemes(s); g.Next() && g.Width() <= left; {
		out.WriteString(g.Str())
		left -= g.Width()
	}
	return out.String() + "…"
}

// short is enough of an ID to tell it from others at a glance; the whole of the
// selected one's stands below.
func short(native string) string {
	const most = 20
	if i := strings.LastIndexByte(native, '/'); i > 0 && len(native) > most {
		// Of namespace/pod/UID the pod is what people know.
		native = native[:i]
		native = native[strings.LastIndexByte(native, '/')+1:]
	}
	return cut(native, most)
}

func number(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}

func count(d, unit time.Duration, name string) string {
	return fmt.Sprintf("%d%s", max(d/unit, 0), name)
}
