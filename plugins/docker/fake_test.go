package docker

import (
	"encoding/binary"
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/atom-router/atom-router/atom"
)

// fakeID is the one container of a fakeDaemon.
var fakeID = strings.Repeat("0123456789abcdef", 4)

// fakeDaemon serves one container's log over Docker's API. It is there for
// what a real daemon cannot be made to show at will: connections that break at
// any byte, records in any order, and daemons of other versions.
type fakeDaemon struct {
	*httptest.Server
	// suffix serves a log from the first record that is young enough on, as
	// daemons since 23 do; older ones leave out every record that is not.
	suffix bool
	// zone is where the daemon writes times.
	zone *time.Location

	mu      sync.Mutex
	log     []record
	running bool
	cut     func(size int) int // where a response breaks; nil: it does not
	polls   int
	removed bool // is being

	// pulling tells of a pull that begins, and of one that is given up.
	pulling chan bool
}

func newFakeDaemon(t *testing.T) *fakeDaemon {
	d := &fakeDaemon{zone: time.UTC, pulling: make(chan bool)}
	mux := http.NewServeMux()
	mux.HandleFunc("/_ping", func(w http.ResponseWriter, r *http.Request) { w.Header().Set("Api-Version", "1.41") })
	mux.HandleFunc("/v1.41/containers/"+fakeID+"/json", d.inspect)
	mux.HandleFunc("/v1.41/containers/"+fakeID+"/logs", d.logs)
	mux.HandleFunc("/v1.41/images/create", func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte(`{"status":"Pulling"}`))
		w.(http.Flusher).Flush()
		d.pulling <- true
		<-r.Context().Done()
		d.pulling <- false
	})
	mux.HandleFunc("/v1.41/events", func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	d.Server = httptest.NewServer(mux)
	t.Cleanup(d.Close)
	return d
}

func (d *fakeDaemon) engine(t *testing.T) *Engine {
	t.Helper()
	e, err := newEngine(Config{Host: "tcp://" + d.Listener.Addr().String()}, environment{get: func(string) string { return "" }}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}

func (d *fakeDaemon) inspect(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	defer d.mu.Unlock()
	state := map[string]any{"Status": "exited", "StartedAt": "2026-01-01T00:00:00Z", "FinishedAt": "2026-01-01T00:01:00Z"}
	if d.running {
		state = map[string]any{"Status": "running", "Running": true, "StartedAt": "2026-01-01T00:00:00Z", "FinishedAt": "0001-01-01T00:00:00Z"}
		// The atom ends after a while of being asked about.
		if d.polls++; d.polls > 3 {
			d.running = false
		}
	}
	_ = json.NewEncoder(w).Encode(map[string]any{
		"Id": fakeID, "State": state,
		"Config": map[string]any{"Labels": map[string]string{atom.LabelOwner: atom.DefaultOwner}},
	})
}

func (d *fakeDaemon) logs(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	log := slices.Clone(d.log)
	cut, removed := d.cut, d.removed
	d.mu.Unlock()
	if removed {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusConflict)
		_, _ = w.Write([]byte(`{"message":"can not get logs from container which is dead or marked for removal"}`))
		return
	}
	q := r.URL.Query()
	if n, err := strconv.Atoi(q.Get("tail")); err == nil && n < len(log) {
		log = log[len(log)-n:]
	}
	var since int64
	if text := q.Get("since"); text != "" {
		sec, nanos, _ := strings.Cut(text, ".")
		s, _ := strconv.ParseInt(sec, 10, 64)
		n, _ := strconv.ParseInt(nanos, 10, 64)
		since = s*1e9 + n
	}
	var out []byte
	for i, rec := range log {
		if rec.at < since {
			continue
		}
		if d.suffix {
			since = 0
		}
		if q.Get([]string{1: "stdout", 2: "stderr"}[rec.stream]) != "1" {
			continue
		}
		var text []byte
		if q.Get("timestamps") == "1" {
			text = time.Unix(0, rec.at).In(d.zone).AppendFormat(nil, "2006-01-02T15:04:05.000000000Z07:00 ")
		}
		text = append(text, log[i].data...)
		out = append(out, byte(rec.stream), 0, 0, 0)
		out = binary.BigEndian.AppendUint32(out, uint32(len(text)))
		out = append(out, text...)
	}
	w.(http.Flusher).Flush()
	if cut != nil {
		if at := cut(len(out)); at < len(out) {
			_, _ = w.Write(out[:at])
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}
	}
	_, _ = w.Write(out)
}

// randomLog is a log with everything that makes resuming hard: long lines in
// pieces stamped like the first and mixed with the other stream's, equal
// times, times that run backwards, pauses, lines without an end.
func randomLog(rng *rand.Rand, records int) []record {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).UnixNano()
	var log []record
	var open [3]int64
	for i := range records {
		switch rng.IntN(12) {
		case 0:
			now += rng.Int64N(20e9)
		case 1: // the same time again
		case 2:
			now -= rng.Int64N(2e9)
		default:
			now += rng.Int64N(1e9)
		}
		stream := 1 + rng.IntN(2)
		at := now
		if open[stream] != 0 {
			at = open[stream]
		}
		text := strconv.Itoa(i) + strings.Repeat("x", rng.IntN(30))
		if rng.IntN(4) == 0 {
			open[stream] = at
		} else {
			open[stream] = 0
			text += "\n"
		}
		log = append(log, record{at: at, stream: stream, data: []byte(text)})
	}
	return log
}
