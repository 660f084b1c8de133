package kube

import (
	"errors"
	"io"

	"github.com/atom-router/atom-router/atom"
)

// tryTail turns the number of lines that were asked for into the position
// that they begin at: it reads the log up to what is there now. The API's own
// tailLines counts the runtime's records, of which a long line has many.
func (s *logSource) tryTail(now *record) error {
	if err := s.goneLog(now); err != nil {
		return err
	}
	body, err := s.ask(s.ctx, now, false, position{})
	if err != nil {
		return err
	}
	defer body.Close()
	// The ends of the last lines: that before the wanted ones is the one.
	wanted := max(s.tail, 0)
	ends := make([]position, 0, 16)
	counted := 0
	var pos position
	for l := newLines(body); ; {
		p, err := l.next()
		if errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			break
		}
		if err != nil {
			return err
		}
		if p.at == unstamped {
			continue
		}
		if p.begins && p.at >= s.since {
			// pos is the end of the line before this one.
			if counted++; len(ends) < wanted {
				ends = append(ends, pos)
			} else if wanted > 0 {
				ends[(counted-1)%wanted] = pos
			}
		}
		pos.move(p)
	}
	switch {
	case s.tail == atom.TailNone:
		pos.mute = pos.open
		s.pos = pos
	case counted > wanted:
		s.pos = ends[counted%wanted]
	}
	s.tail = 0
	return nil
}
