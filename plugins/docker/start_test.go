package docker

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/docker/docker/api/types/container"

	"github.com/atom-router/atom-router/atom"
)

// What the daemon's record of a container says of how it started.
func TestHowItStarted(t *testing.T) {
	const never, at = "0001-01-01T00:00:00Z", "2026-01-01T00:00:00Z"
	for _, test := range []struct {
		name   string
		state  container.State
		want   atom.State
		result atom.Result
	}{
		{"made and not started", container.State{Status: "created", StartedAt: never}, atom.Created, atom.Unknown},
		{"no such program", container.State{Status: "created", StartedAt: never, ExitCode: 127, Error: "exec: \"x\": not found"}, atom.Stopped, atom.StartupFailure},
		{"its network is gone", container.State{Status: "created", StartedAt: never, ExitCode: 128, Error: "endpoint with name x already exists in network bridge"}, atom.Stopped, atom.StartupFailure},
		{"the daemon died after its process began", container.State{Status: "created", StartedAt: never, ExitCode: 128, Error: "task 0123456789: already exists: unknown"}, atom.Stopped, atom.Unknown},
		{"likewise", container.State{Status: "created", StartedAt: never, ExitCode: 128, Error: "id already in use"}, atom.Stopped, atom.Unknown},
		{"its end was seen after all", container.State{Status: "created", StartedAt: never, FinishedAt: at, ExitCode: 7, Error: "id already in use"}, atom.Stopped, atom.Failure},
		{"the daemon died before it noted the start, and saw the end", container.State{Status: "created", StartedAt: never, FinishedAt: at, ExitCode: 137}, atom.Stopped, atom.Killed},
		{"likewise, with success", container.State{Status: "created", StartedAt: never, FinishedAt: at}, atom.Stopped, atom.Success},
		{"it ended", container.State{Status: "exited", StartedAt: at, FinishedAt: at, ExitCode: 127}, atom.Stopped, atom.Failure},
	} {
		c := container.InspectResponse{ContainerJSONBase: &container.ContainerJSONBase{ID: fakeID, State: &test.state}, Config: &container.Config{}}
		info := infoOf(c)
		if begun := info.State != atom.Created; begun == untouched(&test.state) {
			t.Errorf("%s: it would be started: %v", test.name, !begun)
		}
		if info.State != test.want || info.Result != test.result || test.result == atom.Unknown && info.ExitCode != nil {
			t.Errorf("%s: %s/%s %v %q", test.name, info.State, info.Result, info.ExitCode, info.Message)
		}
	}
}

// A daemon that was killed while it started a container may have begun the
// process. It is not begun again, however often the Create is repeated.
func TestStartThatLostItsProcess(t *testing.T) {
	var mu sync.Mutex
	made, starts, removed := false, 0, 0
	state := container.State{Status: "created", StartedAt: "0001-01-01T00:00:00Z"}
	labels := map[string]string{}
	mux := http.NewServeMux()
	mux.HandleFunc("/_ping", func(w http.ResponseWriter, r *http.Request) { w.Header().Set("Api-Version", "1.41") })
	fail := func(w http.ResponseWriter, code int, text string) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		_ = json.NewEncoder(w).Encode(map[string]string{"message": text})
	}
	mux.HandleFunc("/v1.41/", func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		path := strings.TrimPrefix(r.URL.Path, "/v1.41")
		switch {
		case strings.HasPrefix(path, "/images/"):
			_, _ = w.Write([]byte(`{"Id":"sha256:1"}`))
		case path == "/containers/create" && made:
			fail(w, http.StatusConflict, "the name is in use")
		case path == "/containers/create":
			var body container.Config
			if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
				t.Error(err)
			}
			made, labels = true, body.Labels
			w.WriteHeader(http.StatusCreated)
			_, _ = w.Write([]byte(`{"Id":"` + fakeID + `"}`))
		case strings.HasSuffix(path, "/start"):
			starts++
			state.Error, state.ExitCode = "task "+fakeID+": already exists: unknown", 128
			fail(w, http.StatusInternalServerError, state.Error)
		case r.Method == http.MethodDelete:
			removed++
		case !made:
			fail(w, http.StatusNotFound, "No such container")
		default:
			_ = json.NewEncoder(w).Encode(map[string]any{"Id": fakeID, "State": state, "Config": map[string]any{"Labels": labels}})
		}
	})
	server := httptest.NewServer(mux)
	defer server.Close()
	e := (&fakeDaemon{Server: server}).engine(t)
	for range 3 {
		a, err := e.Create(&atom.EngineCreateRequest{Image: "x", Key: "k", Context: t.Context()})
		if err != nil {
			t.Fatal(err)
		}
		info := atom.InfoOf(a)
		if info.State != atom.Stopped || info.Result != atom.Unknown || !strings.Contains(info.Message, "lost sight of its process") {
			t.Errorf("it is %s/%s: %s", info.State, info.Result, info.Message)
		}
	}
	if starts != 1 || removed != 0 {
		t.Errorf("%d starts, %d removals", starts, removed)
	}
}

// A short job's end may be noted as of before its start.
func TestEndsAfterItsStart(t *testing.T) {
	c := container.InspectResponse{
		ContainerJSONBase: &container.ContainerJSONBase{ID: fakeID, State: &container.State{
			Status: "exited", StartedAt: "2026-01-02T03:04:05.2Z", FinishedAt: "2026-01-02T03:04:05.1Z",
		}},
		Config: &container.Config{},
	}
	if info := infoOf(c); !info.StoppedAt.Equal(info.StartedAt) || info.StartedAt.Nanosecond() != 200_000_000 {
		t.Errorf("it ran from %v to %v", info.StartedAt, info.StoppedAt)
	}
}
