package kube

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
)

// read reads a log in pieces of at most n bytes and gives the position after
// each of them, and what came before it.
func read(t testing.TB, log string, n int) (at []position, before []string) {
	t.Helper()
	l := newLines(&chopped{strings.NewReader(log), n})
	var pos position
	out := ""
	for {
		p, err := l.next()
		if errors.Is(err, io.EOF) {
			return at, before
		}
		if err != nil {
			t.Fatal(err)
		}
		pos.move(p)
		out += string(p.data)
		at, before = append(at, pos), append(before, out)
	}
}

type chopped struct {
	in io.Reader
	n  int
}

func (c *chopped) Read(p []byte) (int, error) { return c.in.Read(p[:min(len(p), c.n)]) }

// Behind every place of a log the rest of it is found again, whichever way it
// is cut the second time.
func TestSearch(t *testing.T) {
	log, all := "", ""
	for i := range 40 {
		// Several lines bear the same time, some of them the same text.
		line := fmt.Sprintf("line %d%s\n", i/3, strings.Repeat(".", i))
		log += fmt.Sprintf("2026-11-23T10:00:%02d.000000000Z %s", i/4, line)
		all += line
	}
	log, all = strings.TrimSuffix(log, "\n"), strings.TrimSuffix(all, "\n")
	for _, first := range []int{1, 7, 4096} {
		at, before := read(t, log, first)
		for i, pos := range at {
			parsed, err := parseCursor(pos.cursor())
			if err != nil || parsed != pos {
				t.Fatalf("cursor %s of %+v reads as %+v, %v", pos.cursor(), pos, parsed, err)
			}
			for _, second := range []int{3, 4096} {
				s, rest, found := &search{to: parsed}, "", false
				l := newLines(&chopped{strings.NewReader(log), second})
				for {
					p, err := l.next()
					if err != nil {
						break
					}
					if found {
						rest += string(p.data)
						continue
					}
					var r []byte
					r, found = s.pass(p)
					rest += string(r)
				}
				if !found || before[i]+rest != all {
					t.Fatalf("cut in %d and %d at %d: found %v, rest %q", first, second, i, found, rest)
				}
			}
		}
	}
}

func TestParseCursor(t *testing.T) {
	for _, bad := range []string{"x", "k1", "k1.1.1.1.1", "k1.1.0.1.1.0", "k1.1.1.0.1.0", "k1.-1.1.1.1.0", "k1.1.1.1.1.4", "k1.1.1.1.1.0.1", "1.zz", "k1.1.1.1.!.0"} {
		if _, err := parseCursor(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func FuzzParseCursor(f *testing.F) {
	f.Add("k1.1.1.1.1.0")
	f.Add("k1.zzzzzzzzz.1.a.b.3")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := parseCursor(text)
		if err != nil {
			return
		}
		if again, err := parseCursor(p.cursor()); err != nil || again != p {
			t.Errorf("%q reads as %+v, written again as %q", text, p, p.cursor())
		}
	})
}
