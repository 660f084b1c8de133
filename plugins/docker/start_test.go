package docker

import (
	"encoding/json"
	"errors"
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

// badStart is a daemon with room for one container, whose start fails.
type badStart struct {
	text string // why
	code int    // that the container then has
	// lost counts the removals under which the daemon dies.
	lost int
	// volumes counts the creates that fail as Podman's do where another one
	// makes the same volume.
	volumes int

	mu              sync.Mutex
	made            bool
	starts, removed int
	state           container.State
	labels          map[string]string
}

func (d *badStart) engine(t *testing.T) *Engine {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("/_ping", func(w http.ResponseWriter, r *http.Request) { w.Header().Set("Api-Version", "1.41") })
	mux.HandleFunc("/v1.41/", d.serve)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return (&fakeDaemon{Server: server}).engine(t)
}

func (d *badStart) serve(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	defer d.mu.Unlock()
	fail := func(code int, text string) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		_ = json.NewEncoder(w).Encode(map[string]string{"message": text})
	}
	path := strings.TrimPrefix(r.URL.Path, "/v1.41")
	switch {
	case strings.HasPrefix(path, "/images/"):
		_, _ = w.Write([]byte(`{"Id":"sha256:1"}`))
	case path == "/containers/create" && d.made:
		fail(http.StatusConflict, "the name is in use")
	case path == "/containers/create" && d.volumes > 0:
		d.volumes--
		fail(http.StatusInternalServerError, `container create: creating named volume "v": adding volume to state: name v is in use: volume already exists`)
	case path == "/containers/create":
		var body container.Config
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			fail(http.StatusBadRequest, err.Error())
			return
		}
		d.made, d.labels = true, body.Labels
		d.state = container.State{Status: "created", StartedAt: "0001-01-01T00:00:00Z"}
		w.WriteHeader(http.StatusCreated)
		_, _ = w.Write([]byte(`{"Id":"` + fakeID + `"}`))
	case strings.HasSuffix(path, "/start"):
		d.starts++
		d.state.Error, d.state.ExitCode = d.text, d.code
		fail(http.StatusInternalServerError, d.text)
	case r.Method == http.MethodDelete && d.lost > 0:
		d.lost--
		panic(http.ErrAbortHandler)
	case r.Method == http.MethodDelete:
		d.removed++
		d.made = false
	case !d.made:
		fail(http.StatusNotFound, "No such container")
	default:
		_ = json.NewEncoder(w).Encode(map[string]any{"Id": fakeID, "State": d.state, "Config": map[string]any{"Labels": d.labels}})
	}
}

// A container whose start failed and that could not be removed, because the
// daemon died, is no certain failure: it is there. The next attempt under the
// Key clears it away.
func TestStartThatLeavesItsContainer(t *testing.T) {
	d := &badStart{text: `exec: "x": executable file not found in $PATH`, code: 127, lost: 1}
	e := d.engine(t)
	_, err := e.Create(&atom.EngineCreateRequest{Image: "x", Key: "k", Context: t.Context()})
	var unknown *atom.OutcomeUnknown
	if !errors.As(err, &unknown) || unknown.Key != "k" || !d.made {
		t.Errorf("got error %v, want an OutcomeUnknown of key k", err)
	}
	_, err = e.Create(&atom.EngineCreateRequest{Image: "x", Key: "k", Context: t.Context()})
	if err == nil || errors.As(err, &unknown) || !strings.Contains(err.Error(), "executable file not found") {
		t.Errorf("got error %v, want why it does not start", err)
	}
	if d.made {
		t.Error("the container is there yet")
	}
}

// Creates that want the same new volume at once all get it, from Podman too,
// which lets one of them fail now and then.
func TestNewVolumeOfMany(t *testing.T) {
	for refusals, want := range map[int]string{2: "executable file not found", 1000: "volume already exists"} {
		d := &badStart{text: `exec: "x": executable file not found in $PATH`, code: 127, volumes: refusals}
		_, err := d.engine(t).Create(&atom.EngineCreateRequest{Image: "x", Key: "k", Context: t.Context()})
		if unknown := new(atom.OutcomeUnknown); err == nil || !strings.Contains(err.Error(), want) || errors.As(err, &unknown) {
			t.Errorf("after %d refusals: %v; want %q", refusals, err, want)
		}
	}
}

// A daemon that was killed while it started a container may have begun the
// process. It is not begun again, however often the Create is repeated.
func TestStartThatLostItsProcess(t *testing.T) {
	d := &badStart{text: "task " + fakeID + ": already exists: unknown", code: 128}
	e := d.engine(t)
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
	if d.starts != 1 || d.removed != 0 {
		t.Errorf("%d starts, %d removals", d.starts, d.removed)
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
