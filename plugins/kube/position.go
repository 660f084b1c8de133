package kube

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/atom-router/atom-router/atom"
)

// position is a place in a log: behind so many bytes of a line, which is known
// by its time and by what it says. A time alone would not do: two lines may
// bear the same one. The zero position is before everything.
type position struct {
	at   int64 // time of the line, Unix nanoseconds
	nth  int64 // of the lines in a row that bear this time; from 1
	size int64 // bytes of the line that lie before, newline included
	sum  uint64
	open bool // the line is not over
	mute bool // its rest is left out, because its beginning was
}

// FNV-1a (http://www.isthe.com/chongo/tech/comp/fnv/), which can be taken up
// anywhere.
const (
	sumStart = 14695981039346656037
	sumPrime = 1099511628211
)

func sumOf(sum uint64, data []byte) uint64 {
	for _, b := range data {
		sum = (sum ^ uint64(b)) * sumPrime
	}
	return sum
}

// begin moves the position to the beginning of a line.
func (p *position) begin(at int64) {
	if at == p.at {
		p.nth++
	} else {
		p.at, p.nth = at, 1
	}
	p.size, p.sum, p.open, p.mute = 0, sumStart, true, false
}

// move moves it over a piece.
func (p *position) move(q piece) {
	if q.begins {
		p.begin(q.at)
	}
	p.add(q.data)
}

func (p *position) add(data []byte) {
	p.size += int64(len(data))
	p.sum = sumOf(p.sum, data)
	p.open = data[len(data)-1] != '\n'
	if !p.open {
		p.mute = false
	}
}

// search looks for a position in a log that is read again.
type search struct {
	to  position
	cur position
}

// pass moves over a piece. found says that the position lies in it, and rest
// is what of the piece lies behind.
func (s *search) pass(q piece) (rest []byte, found bool) {
	if q.begins {
		s.cur.begin(q.at)
	}
	before := s.cur
	s.cur.add(q.data)
	n := s.to.size - before.size
	if s.cur.at != s.to.at || s.cur.nth != s.to.nth || n <= 0 || n > int64(len(q.data)) {
		return nil, false
	}
	before.add(q.data[:n])
	if before.sum != s.to.sum || before.open != s.to.open {
		return nil, false
	}
	return q.data[n:], true
}

// cursorVersion begins every cursor of this form.
const cursorVersion = "k1"

// cursor writes the position down.
func (p position) cursor() string {
	flags := 0
	if p.open {
		flags |= 1
	}
	if p.mute {
		flags |= 2
	}
	return strings.Join([]string{
		cursorVersion, strconv.FormatInt(p.at, 36), strconv.FormatInt(p.nth, 36),
		strconv.FormatInt(p.size, 36), strconv.FormatUint(p.sum, 36), strconv.Itoa(flags),
	}, ".")
}

func parseCursor(text string) (position, error) {
	bad := &atom.FieldError{Field: "cursor", Reason: fmt.Sprintf("%.60q is none of this engine's", text)}
	parts := strings.Split(text, ".")
	if len(parts) != 6 || parts[0] != cursorVersion {
		return position{}, bad
	}
	var n [3]int64
	for i := range n {
		var err error
		if n[i], err = strconv.ParseInt(parts[1+i], 36, 64); err != nil || n[i] < 0 {
			return position{}, bad
		}
	}
	sum, err := strconv.ParseUint(parts[4], 36, 64)
	flags, err2 := strconv.Atoi(parts[5])
	if err != nil || err2 != nil || flags < 0 || flags > 3 || n[1] < 1 || n[2] < 1 {
		return position{}, bad
	}
	return position{at: n[0], nth: n[1], size: n[2], sum: sum, open: flags&1 != 0, mute: flags&2 != 0}, nil
}
