package top

import (
	"regexp"
	"strings"
)

// logView is the output of one atom, as far as it is kept.
type logView struct {
	id    string
	lines []string
	open  string // a last line without its newline
	over  string // why no more comes, once that is so
	// up is how many lines the view is above the end; at 0 it follows.
	up int
}

// What is kept of a log: a view is no archive.
const (
	keptLines = 5000
	keptWidth = 4096
)

// escapes are what programs colour their output with.
var escapes = regexp.MustCompile(`\x1b\[[0-9;:?]*[ -/]*[@-~]`)

// line is a line of a job's output without its colours, and without what it
// wrote over itself with carriage returns. What else would move the cursor Lines
// takes out.
func line(s string) string {
	s = strings.TrimSuffix(s, "\r")
	s = s[strings.LastIndexByte(s, '\r')+1:]
	s = strings.ToValidUTF8(s, "\uFFFD")
	return strings.ReplaceAll(escapes.ReplaceAllString(s, ""), "\t", "    ")
}

func (l *logView) add(data []byte) {
	before := len(l.all())
	text := l.open + string(data)
	for {
		one, rest, found := strings.Cut(text, "\n")
		if !found && len(one) < keptWidth {
			l.open = one
			break
		}
		if !found {
			one, rest = one[:keptWidth], one[keptWidth:]
		}
		l.lines = append(l.lines, line(one))
		text = rest
	}
	if l.up > 0 {
		l.up += len(l.all()) - before // what is looked at stays where it is
	}
	if surplus := len(l.lines) - keptLines; surplus > keptLines/10 {
		l.lines = append([]string(nil), l.lines[surplus:]...)
	}
}

// all is every line that is kept, one without a newline too.
func (l *logView) all() []string {
	all := l.lines[:len(l.lines):len(l.lines)]
	if l.open != "" {
		all = append(all, line(l.open))
	}
	return all
}

// window is what of it fits in so many lines.
func (l *logView) window(height int) []string {
	all := l.all()
	l.up = min(l.up, max(len(all)-height, 0))
	end := len(all) - l.up
	return all[max(end-height, 0):end]
}

// open shows the logs of the selected atom.
func (m *Model) open() Action {
	if m.selected == "" {
		return None
	}
	m.logs = &logView{id: m.selected}
	return OpenLogs
}

// AddLog adds to the logs that are shown, those of id: output, or why there is
// no more. What comes late, of logs that were closed, is dropped.
func (m *Model) AddLog(id string, data []byte, over string) {
	if m.logs == nil || m.logs.id != id {
		return
	}
	m.logs.add(data)
	if over != "" {
		m.logs.over = over
	}
}

// scroll is what keys do in the logs.
func (m *Model) scroll(k Key, r rune) Action {
	page := max(m.height-3, 1)
	up := func(by int) { m.logs.up = max(m.logs.up+by, 0) }
	switch {
	case k == KeyEscape || k == KeyRune && (r == 'q' || r == 'h'):
		m.logs = nil
		return CloseLogs
	case k == KeyUp || k == KeyRune && r == 'k':
		up(1)
	case k == KeyDown || k == KeyRune && r == 'j':
		up(-1)
	case k == KeyPageUp:
		up(page)
	case k == KeyPageDown:
		up(-page)
	case k == KeyHome || k == KeyRune && r == 'g':
		up(keptLines * 2)
	case k == KeyEnd || k == KeyRune && r == 'G':
		m.logs.up = 0
	case k == KeyRune && r == 's':
		m.stopping = m.logs.id
	}
	return None
}
