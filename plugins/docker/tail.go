package docker

import (
	"context"
	"errors"
	"io"
	"strconv"

	"github.com/docker/docker/api/types/container"
)

const (
	// tailHint is the longest tail whose whereabouts are asked of the daemon;
	// for a longer one the whole log is read.
	tailHint = 16 << 10
	// recentRecords is how many records are compared to see that nothing is
	// missing at the end.
	recentRecords = 8
)

// locateTail sets the source to where the tail asked for begins. Docker's own
// tail counts records, of which a long line is many; so the lines are counted
// first, and then all but the last are left out. Both passes are over the
// records from one time on: that set holds all pieces of a line or none.
func (s *logSource) locateTail() error {
	want := int64(max(s.tail, 0))
	base := s.pos.from.at
	for records := max(want, recentRecords); records <= tailHint; records *= 8 {
		from, whole, err := s.hint(int(records))
		if err != nil {
			return err
		}
		if whole || from <= base {
			break
		}
		lines, err := s.countLines(from)
		if err != nil {
			return err
		}
		if lines >= want {
			s.resume(resumption{from: from})
			s.skip = lines - want
			return nil
		}
	}
	lines, err := s.countLines(base)
	if err != nil {
		return err
	}
	s.skip = max(0, lines-want)
	return nil
}

// hint gives a time from which on the log holds its last so many records;
// whole says that it holds no more.
func (s *logSource) hint(records int) (from int64, whole bool, err error) {
	var seen int
	var oldest int64
	err = s.scan(container.LogsOptions{Tail: strconv.Itoa(records)}, [3]bool{1: true, 2: true}, func(r record) {
		if seen == 0 || r.at < oldest {
			oldest = r.at
		}
		seen++
	})
	return max(0, (oldest-anchorMargin)/1e9*1e9), seen < records, err
}

// countLines counts the lines that the request is about, among the records
// from a time on.
func (s *logSource) countLines(from int64) (lines int64, err error) {
	var open [3]bool
	err = s.scan(container.LogsOptions{Since: sinceParam(from)}, s.show, func(r record) {
		if r.at < from {
			return
		}
		if (!open[r.stream] || r.owed) && r.at >= s.since {
			lines++
		}
		open[r.stream] = !r.ends()
	})
	return lines, err
}

// scan reads what the log holds now.
func (s *logSource) scan(o container.LogsOptions, show [3]bool, each func(record)) error {
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()
	o.Timestamps = true
	body, err := s.ask(ctx, o, show)
	if err != nil {
		return s.vanished(err)
	}
	defer body.Close()
	f := newFrames(body, true)
	for {
		r, err := f.next()
		if errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return nil
		}
		if err != nil {
			if isConnectionError(err) {
				return s.e.daemon.fault(ctx, err)
			}
			return err
		}
		each(r)
	}
}

// complete reports whether the last records of the log are the last ones
// passed. It spares the pass over the whole that would show the same. A
// stream that ended well may still have ended early: a daemon that shuts down
// ends its answers politely.
func (s *logSource) complete() bool {
	var last recent
	var all, mine int64
	err := s.scan(container.LogsOptions{Tail: strconv.Itoa(recentRecords)}, [3]bool{1: true, 2: true}, func(r record) {
		all++
		if r.at >= s.pos.whole.at && s.show[r.stream] {
			mine++
			last.add(r)
		}
	})
	if err != nil || mine == 0 {
		return false
	}
	return s.recent.endsWith(last) && (last.varied() || all < recentRecords && mine == s.pos.total)
}

// recent keeps what is characteristic of the last few records.
type recent struct {
	n    int
	ring [recentRecords]trait
}

type trait struct {
	at     int64
	stream int
	size   int
}

func (q *recent) add(r record) {
	q.ring[q.n%recentRecords] = trait{r.at, r.stream, len(r.data)}
	q.n++
}

// back gives the i-th last.
func (q *recent) back(i int) trait { return q.ring[(q.n-i)%recentRecords] }

func (q *recent) endsWith(o recent) bool {
	m := min(o.n, recentRecords)
	if q.n < m {
		return false
	}
	for i := 1; i <= m; i++ {
		if q.back(i) != o.back(i) {
			return false
		}
	}
	return true
}

// varied reports whether the records were not all of one time: the pieces of
// one long line look alike, and prove nothing about which of them is last.
func (q *recent) varied() bool {
	for i := 2; i <= min(q.n, recentRecords); i++ {
		if q.back(i).at != q.back(1).at {
			return true
		}
	}
	return false
}
