package docker

import (
	"bytes"
	"errors"
	"io"
	"time"
)

const (
	// pollMin lies between two passes, and pollMax is how long a log that is not followed but asked for again and
	// again may be left alone while its container runs.
	pollMin = 50 * time.Millisecond
	pollMax = 500 * time.Millisecond
	// pollsOwed bounds how often it is asked for again for the sake of its
	// last record alone.
	pollsOwed = 5
)

// polls are passes over a running container's log that take the place of a
// follow: Podman's leaves out records where the log grows fast, and ends before
// the log does. A pass may meet the last record half written, so that one is
// given when two passes in a row have seen the same. The nil polls give what
// comes.
type polls struct {
	ahead *record // the last one taken, not given yet
	seen  *record // the last one of the pass before
	given bool    // the last one of this pass was
	count int
}

// next is the polls of the next pass, if that is to be one.
func (p *polls) next(on bool) *polls {
	switch {
	case !on:
		return nil
	case p == nil:
		return &polls{}
	}
	return &polls{seen: p.seen, count: p.count + 1}
}

// take gives the next record of the pass.
func (p *polls) take(f *frames) (record, error) {
	if p == nil {
		return f.next()
	}
	for {
		r, err := f.next()
		if err == nil {
			r.data = bytes.Clone(r.data)
			before := p.ahead
			p.ahead = &r
			if before == nil {
				continue
			}
			return *before, nil
		}
		last := p.ahead
		if last == nil || !errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return record{}, err
		}
		before := p.seen
		p.ahead, p.seen = nil, last
		p.given = before != nil && before.at == last.at && before.stream == last.stream && bytes.Equal(before.data, last.data)
		if p.given {
			return *last, nil
		}
	}
}

// owe reports whether the pass has kept its last record back, and another is
// worth it.
func (p *polls) owe() bool {
	return p != nil && p.seen != nil && !p.given && p.count < pollsOwed
}
