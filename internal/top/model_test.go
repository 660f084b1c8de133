package top

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/router"
)

var now = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

// screen is what a model shows; the style of a line stands before it.
func screen(m *Model) string {
	var out strings.Builder
	for _, l := range m.Lines(now) {
		fmt.Fprintln(&out, strings.TrimRight(fmt.Sprintf("%c %s", " *>.!"[l.Style], l.Text), " "))
	}
	return out.String()
}

func differs(t *testing.T, what, want string, m *Model) {
	t.Helper()
	if diff := cmp.Diff(strings.TrimPrefix(want, "\n"), screen(m)); diff != "" {
		t.Errorf("%s, -want +got:\n%s", what, diff)
	}
}

func atoms(infos ...atom.Info) []atom.Atom {
	var all []atom.Atom
	for n, i := range infos {
		i.CreatedAt = now.Add(-time.Hour).Add(time.Duration(n) * time.Minute)
		all = append(all, atom.New(i, nil))
	}
	return all
}

// press presses keys, of which the last one's action counts: letters are
// themselves, others by name.
func press(m *Model, keys ...any) (a Action) {
	for _, k := range keys {
		switch k := k.(type) {
		case Key:
			a = m.Press(k, 0)
		case string:
			for _, r := range k {
				a = m.Press(KeyRune, r)
			}
		}
	}
	return a
}

func newModel() *Model {
	m := &Model{}
	m.Resize(80, 13)
	code := 0
	m.Look([]router.BackendStatus{
		{Name: "docker", State: router.Ready, Since: now.Add(-3 * time.Minute)},
		{Name: "kube", State: router.Degraded, Since: now.Add(-50 * time.Hour), Restarts: 2, Drain: true, LastError: errors.New("no\nanswer \x1b[31m")},
	}, nil, atoms(
		atom.Info{ID: "docker:0123456789abcdef0123456789abcdef", Name: "nightly", Image: "busybox:1", State: atom.Running},
		atom.Info{ID: "docker:fff", Image: "busybox:1", State: atom.Stopped, Result: atom.Success, ExitCode: &code},
		atom.Info{ID: "kube:ml/atom-7f3k/830d0b44-0000-0000-0000-000000000000", Name: "\x1b]0;evil\x07", Image: "日本/cuda:12", State: atom.Created, Message: "Unschedulable: no node"},
	), nil)
	return m
}

func TestModel(t *testing.T) {
	m := &Model{}
	m.Resize(80, 4)
	differs(t, "before the first look", `
* atom-router: asking the backends
. BACKEND  STATE  SINCE  RESTARTS  ATOMS  ERROR

> ↑↓ select  Enter logs  / filter  s stop  a all  q quit
`, m)

	m = newModel()
	differs(t, "at first", `
* atom-router: 2 backends, 2 atoms alive
. BACKEND  STATE             SINCE  RESTARTS  ATOMS  ERROR
  docker   ready             3m     0         1      -
! kube     degraded, drains  2d     2         1      no answer �[31m

. ATOM                  BACKEND  NAME       IMAGE         STATE    AGE
> 0123456789abcdef012…  docker   nightly    busybox:1     running  1h
  atom-7f3k             kube     �]0;evil�  日本/cuda:12  created  58m



. docker:0123456789abcdef0123456789abcdef
> ↑↓ select  Enter logs  / filter  s stop  a all  q quit
`, m)

	press(m, "aj", KeyDown)
	differs(t, "all of them, and two down", `
* atom-router: 2 backends, 2 atoms alive
. BACKEND  STATE             SINCE  RESTARTS  ATOMS  ERROR
  docker   ready             3m     0         1      -
! kube     degraded, drains  2d     2         1      no answer �[31m

. ATOM                  BACKEND  NAME       IMAGE         STATE    AGE
  0123456789abcdef012…  docker   nightly    busybox:1     running  1h
  fff                   docker   -          busybox:1     success  59m
> atom-7f3k             kube     �]0;evil�  日本/cuda:12  created  58m


. kube:ml/atom-7f3k/830d0b44-0000-0000-0000-000000000000: Unschedulable: no node
> ↑↓ select  Enter logs  / filter  s stop  a all  q quit
`, m)

	// A narrow and low screen: the selected one stays in sight.
	m.Resize(30, 9)
	for _, l := range m.Lines(now) {
		if width(l.Text) > 30 {
			t.Errorf("%q is %d wide", l.Text, width(l.Text))
		}
	}
	if s := screen(m); !strings.Contains(s, "> atom") && !strings.Contains(s, "> ato") {
		t.Errorf("the selected one is out of sight:\n%s", s)
	}
	for w := range 12 {
		for h := range 12 {
			m.Resize(w, h)
			if lines := m.Lines(now); len(lines) > h {
				t.Errorf("%d lines on a screen of %d", len(lines), h)
			}
		}
	}
}

func TestFilter(t *testing.T) {
	m := newModel()
	press(m, "/", "KUBE cuda")
	if got := m.Target(); !strings.HasPrefix(got, "kube:") || len(m.atoms) != 1 {
		t.Errorf("%q of %v", got, m.atoms)
	}
	if s := screen(m); !strings.Contains(s, "* filter: KUBE cuda_\n") {
		t.Error(s)
	}
	press(m, KeyBackspace, KeyBackspace, "qq") // keys are letters while one types
	if s := screen(m); m.Target() != "" || !strings.Contains(s, ". no atom fits the filter\n") || !strings.Contains(s, "filter: KUBE cuqq_") {
		t.Error(s)
	}
	if a := press(m, KeyEnter, KeyEnter); a != None { // of nothing there are no logs
		t.Error(a)
	}
	press(m, "s")
	if s := screen(m); strings.Contains(s, "y stops it") {
		t.Error(s)
	}
	press(m, KeyEscape)
	if s := screen(m); len(m.atoms) != 2 || strings.Contains(s, "filter: ") {
		t.Error(s)
	}
	press(m, "/x", KeyEscape)
	if m.filter != "" || m.typing {
		t.Error("Escape keeps a filter")
	}
	if press(m, "q") != Quit {
		t.Error("q does not quit")
	}
}

func TestSelectionAndTrouble(t *testing.T) {
	m := newModel()
	press(m, KeyEnd)
	last := m.Target()
	press(m, KeyHome, "k", KeyPageUp)
	first := m.Target()
	if press(m, KeyPageDown); m.Target() != last || first == last {
		t.Errorf("%q, %q", first, last)
	}
	// A backend that does not answer keeps its atoms, and it is told why.
	down := &router.PartialError{Failed: []*atom.OpError{{Op: "list", Backend: "kube", Err: errors.New("away")}}}
	m.Look(nil, errors.New("no\nprobe"), atoms(atom.Info{ID: first, State: atom.Running}), down)
	if s := screen(m); m.Target() != last || !strings.Contains(s, "! no probe; no answer from kube: away\n") || !strings.Contains(s, "2 backends, 2 atoms") {
		t.Error(s)
	}
	// The selected one goes: its neighbour is next.
	m.Look(nil, nil, atoms(atom.Info{ID: first, State: atom.Running}), nil)
	if s := screen(m); m.Target() != first || strings.Contains(s, "!") {
		t.Error(s)
	}
	m.Look(nil, nil, nil, nil)
	if s := screen(m); m.Target() != "" || !strings.Contains(s, ". no atom is alive; a shows those that have ended\n") {
		t.Error(s)
	}
}

func TestStop(t *testing.T) {
	m := newModel()
	id := m.Target()
	if a := press(m, "s"); a != None || !strings.Contains(screen(m), "! stop "+id+"? y stops it, any other key does not\n") {
		t.Errorf("%v:\n%s", a, screen(m))
	}
	for _, no := range []any{"n", KeyEscape, KeyEnter, "q"} {
		press(m, KeyEscape, "s")
		if a := press(m, no); a != None || !strings.Contains(screen(m), "* not stopped\n") {
			t.Errorf("%v: %v:\n%s", no, a, screen(m))
		}
	}
	if a := press(m, "sy"); a != Stop || m.Target() != id {
		t.Errorf("%v of %q", a, m.Target())
	}
	if a := press(m, KeyEnter); a != OpenLogs {
		t.Error(a)
	}
	if a := press(m, "sy"); a != Stop || m.Target() != id {
		t.Errorf("from its logs: %v of %q", a, m.Target())
	}
	press(m, KeyEscape, "s")
	m.Look(nil, nil, atoms(atom.Info{ID: "docker:another", State: atom.Running}), nil)
	if a := press(m, "y"); a != None || !strings.Contains(screen(m), "* it is gone\n") {
		t.Errorf("another than was asked about: %v:\n%s", a, screen(m))
	}
	m.Note("stopped " + id)
	if s := screen(m); !strings.Contains(s, "* stopped "+id+"\n") {
		t.Error(s)
	}
}

func TestLogs(t *testing.T) {
	m := newModel()
	m.Resize(40, 6)
	id := m.Target()
	if a := press(m, "l"); a != OpenLogs {
		t.Fatal(a)
	}
	m.AddLog(id, []byte("one\ntw"), "")
	m.AddLog("docker:other", []byte("of another"), "")
	m.AddLog(id, []byte("o\r\n10%\r20%\r\x1b[1;31mred\x1b[0m\tand \x1b]0;title\x07 \xff\nfour\nfi"), "")
	differs(t, "follows", `
* logs of docker:0123456789abcdef01234567…
  red    and �]0;title� �
  four
  fi
. follows
> ↑↓ PgUp PgDn scroll  G follow  s stop  …
`, m)
	press(m, KeyUp)
	m.AddLog(id, []byte("ve\nsix\nseven\n"), "the end")
	differs(t, "above the end, and stays there", `
* logs of docker:0123456789abcdef01234567…
  two
  red    and �]0;title� �
  four
. 3 lines above the end
> ↑↓ PgUp PgDn scroll  G follow  s stop  …
`, m)
	if press(m, "g"); !strings.Contains(screen(m), "  one\n  two\n") {
		t.Error(screen(m))
	}
	if press(m, "G"); !strings.Contains(screen(m), "  five\n  six\n  seven\n. the end\n") {
		t.Error(screen(m))
	}
	if a := press(m, KeyEscape); a != CloseLogs || m.Target() != id {
		t.Error(a)
	}
	m.AddLog(id, []byte("late"), "")
	if s := screen(m); strings.Contains(s, "late") {
		t.Error(s)
	}
}

// A log of any size costs bounded memory.
func TestLogsAreBounded(t *testing.T) {
	l := &logView{}
	for n := range 3 * keptLines {
		l.add(fmt.Appendf(nil, "%d\n", n))
	}
	if len(l.lines) > keptLines*11/10 || l.lines[len(l.lines)-1] != fmt.Sprint(3*keptLines-1) {
		t.Errorf("%d lines, to %q", len(l.lines), l.lines[len(l.lines)-1])
	}
	l = &logView{}
	for range 100 {
		l.add(slices.Repeat([]byte("x"), 1000))
	}
	if len(l.open) >= keptWidth || len(l.lines) != 100*1000/keptWidth {
		t.Errorf("%d lines and %d bytes", len(l.lines), len(l.open))
	}
}
