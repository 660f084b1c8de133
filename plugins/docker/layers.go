package docker

import (
	"fmt"
	"time"

	"github.com/atom-router/atom-router/atom"
)

// layers sums up the daemon's report on a pull, which is about each layer.
type layers struct {
	image string
	on    map[string]*layer
	// told is when those who wait were told last, and log when the log is
	// told next.
	told, log time.Time
	phase     atom.Phase
}

// layer is one layer of the image, from when the daemon first spoke of its
// size.
type layer struct {
	got, size int64
	here      bool
}

type layerProgress struct {
	Current int64 `json:"current"`
	Total   int64 `json:"total"`
}

const (
	// tellEvery is as often as people can follow.
	tellEvery = 200 * time.Millisecond
	logEvery  = 5 * time.Second
)

func newLayers(image string) *layers {
	return &layers{image: image, on: make(map[string]*layer), log: time.Now().Add(logEvery), phase: atom.PhasePulling}
}

// note takes a line of the report in, and reports whether it is time to tell of
// it: now and then, and at once where another phase begins.
func (ls *layers) note(m pullMessage) bool {
	switch m.Status {
	case "Downloading":
		if m.ID == "" || m.Progress == nil {
			return false
		}
		l := ls.on[m.ID]
		if l == nil {
			l = &layer{}
			ls.on[m.ID] = l
		}
		l.got, l.size, l.here = m.Progress.Current, max(m.Progress.Total, m.Progress.Current), false
	case "Verifying Checksum", "Download complete", "Extracting", "Pull complete":
		l := ls.on[m.ID]
		if l == nil {
			return false
		}
		l.got, l.here = l.size, true
	default:
		return false
	}
	phase := atom.PhaseUnpacking
	for _, l := range ls.on {
		if !l.here {
			phase = atom.PhasePulling
		}
	}
	if phase == ls.phase && time.Since(ls.told) < tellEvery {
		return false
	}
	ls.told, ls.phase = time.Now(), phase
	return true
}

// progress is how the pull gets on.
func (ls *layers) progress() atom.Progress {
	p := atom.Progress{Phase: ls.phase, Text: string(ls.phase) + " " + ls.image}
	if p.Phase == atom.PhasePulling {
		p.Done, p.Total = ls.bytes()
	}
	return p
}

func (ls *layers) bytes() (got, size int64) {
	for _, l := range ls.on {
		got += l.got
		size += l.size
	}
	return got, size
}

// logged is a line for the log, where it is time for one.
func (ls *layers) logged() (string, bool) {
	if time.Now().Before(ls.log) {
		return "", false
	}
	ls.log = time.Now().Add(logEvery)
	got, size := ls.bytes()
	return fmt.Sprintf("%d of %d MB in %d layers", got/1e6, size/1e6, len(ls.on)), true
}
