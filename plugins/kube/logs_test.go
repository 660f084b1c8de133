package kube

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/atom-router/atom-router/atom"
)

// cutting stands for an API server with one pod, whose log is cut off in its
// first answers.
type cutting struct {
	pod     *corev1.Pod
	answers []string // the last one comes again

	mu    sync.Mutex
	asked int
}

func (c *cutting) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasSuffix(r.URL.Path, "/pods") { // the list, which is slow
		<-r.Context().Done()
		return
	}
	if !strings.HasSuffix(r.URL.Path, "/log") {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(c.pod)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	text := c.answers[min(c.asked, len(c.answers)-1)]
	c.asked++
	_, _ = io.WriteString(w, text)
}

// An API server ends a log as if it were over where its connection with the
// kubelet breaks, and a kubelet gives the beginning of a line that is still
// written. A log of 3 MiB was seen to end like that, 100 KiB too early, on a busy
// machine; which of the two it was is not known.
func TestLogCutWithinALine(t *testing.T) {
	const first, second = "2026-01-02T03:04:05.000000001Z one\n", "2026-01-02T03:04:05.000000002Z two\n"
	for _, test := range []struct {
		name    string
		answers []string
		want    string
		asked   int
	}{
		{"whole", []string{first + second}, "one\ntwo\n", 1},
		{"cut once", []string{first + second[:len(second)-2], first + second}, "one\ntwo\n", 2},
		{"cut twice", []string{first[:len(first)-2], first + second[:len(second)-3], first + second}, "one\ntwo\n", 3},
		{"no newline at its end", []string{first + strings.TrimSuffix(second, "\n")}, "one\ntwo", 2},
		{"gone meanwhile", []string{first + second[:len(second)-2], "unable to retrieve container logs for containerd://0"}, "one\ntw", 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := servedPod()
			c := &cutting{pod: p, answers: test.answers}
			logs, err := engineAt(t, c).Logs(&atom.EngineLogsRequest{ID: identity{"ns", p.Name, "uid"}.String(), NoFollow: true, Context: t.Context()})
			if err != nil {
				t.Fatal(err)
			}
			defer logs.Close()
			got, err := io.ReadAll(logs)
			c.mu.Lock()
			defer c.mu.Unlock()
			if err != nil || string(got) != test.want || c.asked != test.asked {
				t.Errorf("%q after %d answers, %v; want %q after %d", got, c.asked, err, test.want, test.asked)
			}
		})
	}
}

// Where a Tail begins is decided when it is asked for, also where another router
// has seen the job begin before our watch does.
func TestTailAheadOfTheWatch(t *testing.T) {
	p := servedPod()
	c := &cutting{pod: p, answers: []string{"2026-01-02T03:04:05.000000001Z one\n"}}
	e := engineAt(t, c)
	before := p.DeepCopy()
	before.ResourceVersion, before.Status = "4", corev1.PodStatus{Phase: corev1.PodPending}
	e.watch.pods.replace([]*record{e.settings.recordOf(before)}, "4")
	e.watch.pods.setWell(true)
	logs, err := e.Logs(&atom.EngineLogsRequest{ID: identity{"ns", p.Name, "uid"}.String(), Tail: atom.TailNone, Context: t.Context()})
	if err != nil {
		t.Fatal(err)
	}
	defer logs.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.asked == 0 {
		t.Error("nobody has looked at the log yet")
	}
}
