package docker

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/atom-router/atom-router/atom"
)

// anchorMargin is how far records of the two streams, which the daemon copies
// side by side, and small steps of its clock may be out of order.
const anchorMargin = 5e9

// position is a place in a container's log: how many of the records stamped
// at an anchor or later, in the file's order, lie before it. That stays true
// however the records are stamped, which a bare time does not: a long line's
// pieces carry the time of its first and may stand behind younger records,
// and two records may carry the same.
//
// The anchor follows the reader so that resuming re-reads seconds and not the
// whole log. It stays below the last record and below the first piece of
// every line still open, for the pieces to come carry that time.
type position struct {
	whole  mark // where the reading began, before any resumption
	from   mark // where the daemon was asked to begin
	anchor mark
	next   mark // the anchor to be; nothing passed so far lies after it when it is chosen
	last   int64
	newest int64
	open   [3]int64 // by stream: time of the line still open, 0 if none
	// mute, by stream, leaves out the rest of a line that began before what
	// a Tail asked for.
	mute  [3]bool
	total int64
}

// mark counts the records stamped at a time or later.
type mark struct {
	at      int64 // Unix nanoseconds, a whole second
	records int64
	bytes   int64
}

func (m *mark) count(r record) {
	if r.at >= m.at {
		m.records++
		m.bytes += int64(len(r.data))
	}
}

// startAt is a position before every record stamped at ns or later.
func startAt(ns int64) position {
	m := mark{at: ns}
	return position{whole: m, from: m, anchor: m, next: mark{at: math.MaxInt64}}
}

// pass moves the position over a record that was not passed before.
func (p *position) pass(r record) {
	p.whole.count(r)
	p.move(r)
	if r.at < p.from.at {
		// The clock was set back behind where this reading resumed. Only
		// the count from the very beginning holds now.
		p.from, p.anchor = p.whole, p.whole
		p.next.at = math.MaxInt64
	}
}

// move moves the position over a record again.
func (p *position) move(r record) {
	p.from.count(r)
	p.anchor.count(r)
	p.next.count(r)
	p.total++
	p.last = r.at
	if r.owed {
		p.open[r.stream] = 0
	}
	switch {
	case r.ends():
		p.open[r.stream] = 0
	case p.open[r.stream] == 0:
		p.open[r.stream] = r.at
	}
	if r.at < p.anchor.at {
		// The clock was set back: what follows may lie before the anchor,
		// too.
		p.anchor = p.from
		p.next.at = math.MaxInt64
	}
	if r.at > p.newest {
		p.newest = r.at
	}
	if p.next.at == math.MaxInt64 {
		p.next = mark{at: secondAfter(p.newest)}
		return
	}
	bound := p.last
	for _, at := range p.open {
		if at != 0 {
			bound = min(bound, at)
		}
	}
	if bound-anchorMargin >= p.next.at {
		p.anchor = p.next
		p.next = mark{at: secondAfter(p.newest)}
	}
}

// secondAfter is the first whole second after ns. Anchors are whole seconds,
// so that no backend's rounding of them matters.
func secondAfter(ns int64) int64 { return (ns/1e9 + 1) * 1e9 }

// cursorVersion is the first character of every cursor of this form.
const cursorVersion = "1"

// cursor writes the position down. resume reads it.
func (p *position) cursor() string {
	b := make([]byte, 0, 64)
	b = append(b, cursorVersion...)
	for _, n := range [...]int64{p.anchor.at / 1e9, p.anchor.records, p.anchor.bytes, p.last, p.muted(), p.whole.at / 1e9, p.whole.records, p.whole.bytes} {
		b = append(b, '.')
		b = strconv.AppendInt(b, n, 36)
	}
	return string(b)
}

func (p *position) muted() int64 {
	var bits int64
	for i, m := range p.mute {
		if m {
			bits |= 1 << i
		}
	}
	return bits
}

// resumption is how to get back to a position: ask for what is stamped at
// from or later, and pass over so many records.
type resumption struct {
	from    int64
	records int64
	bytes   int64
	last    int64
	mute    [3]bool
	whole   mark
}

func (p *position) resumption() resumption {
	return resumption{p.anchor.at, p.anchor.records, p.anchor.bytes, p.last, p.mute, p.whole}
}

// parseCursor reads what cursor wrote.
func parseCursor(text string) (resumption, error) {
	bad := &atom.FieldError{Field: "cursor", Reason: fmt.Sprintf("%.80q is no cursor of this engine", text)}
	parts := strings.Split(text, ".")
	if len(parts) != 9 || parts[0] != cursorVersion {
		return resumption{}, bad
	}
	var n [8]int64
	for i, part := range parts[1:] {
		v, err := strconv.ParseInt(part, 36, 64)
		if err != nil || v < 0 {
			return resumption{}, bad
		}
		n[i] = v
	}
	if max(n[0], n[5]) > math.MaxInt64/int64(1e9) || n[4] > 7 {
		return resumption{}, bad
	}
	r := resumption{from: n[0] * 1e9, records: n[1], bytes: n[2], last: n[3], whole: mark{n[5] * 1e9, n[6], n[7]}}
	for i := range r.mute {
		r.mute[i] = n[4]&(1<<i) != 0
	}
	return r, nil
}

// retrace is a resumption in progress.
type retrace struct {
	to      resumption
	records int64
	bytes   int64
	last    int64
}

// over reports whether the position is reached.
func (t *retrace) over() bool { return t.records >= t.to.records }

// pass counts a record passed over again.
func (t *retrace) pass(r record) {
	t.records++
	t.bytes += int64(len(r.data))
	t.last = r.at
}

// intact reports whether what was passed over is what was passed over before.
func (t *retrace) intact() bool {
	return t.records == t.to.records && t.bytes == t.to.bytes && (t.last == t.to.last || t.to.last == untimed)
}
