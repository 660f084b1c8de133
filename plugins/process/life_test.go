//go:build linux || darwin

package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/containerd/errdefs"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/plugins/process/internal/shim"
	"github.com/atom-router/atom-router/plugins/process/internal/state"
)

func TestAtomOutlivesEngine(t *testing.T) {
	dir := t.TempDir()
	first := newEngine(t, dir)
	r := sh("echo before; while [ ! -e " + dir + "/go ]; do sleep 0.01; done; echo after; exit 7")
	r.Name, r.Key, r.Rule = "a name", "key", "rule"
	r.Spec.Labels = map[string]string{"team": "ml"}
	a := create(t, first, r)
	awaitOutput(t, first, a.ID, "before\n")
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{
		"get":    second(first.Get(&atom.EngineGetRequest{ID: a.ID})),
		"create": second(first.Create(r)),
		"stop":   first.Stop(&atom.EngineStopRequest{ID: a.ID}),
	} {
		if !errdefs.IsUnavailable(err) {
			t.Errorf("%s on a closed engine: %v", name, err)
		}
	}

	e := newEngine(t, dir)
	if got := get(t, e, a.ID); got.State != atom.Running || got.Name != "a name" || got.Rule != "rule" || got.Labels["team"] != "ml" || !got.StartedAt.Equal(a.StartedAt) {
		t.Errorf("got %+v", got)
	}
	if got, err := e.Lookup(&atom.EngineLookupRequest{Key: "key"}); err != nil || got.ID() != a.ID {
		t.Errorf("lookup: %v, %v", got, err)
	}
	if got, err := e.Create(r); err != nil || got.ID() != a.ID {
		t.Errorf("create again: %v, %v", got, err)
	}
	changed := *r
	changed.Command = []string{"true"}
	if _, err := e.Create(&changed); !errdefs.IsAlreadyExists(err) {
		t.Errorf("another request under the key: %v", err)
	}
	if err := os.WriteFile(dir+"/go", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := wait(t, e, a.ID); got.Result != atom.Failure || *got.ExitCode != 7 {
		t.Errorf("got %+v", got)
	}
	if got := logs(t, e, atom.EngineLogsRequest{ID: a.ID}); got != "before\nafter\n" {
		t.Errorf("got %q", got)
	}
}

// TestKeyOnce has Creates of two engines race for each Key.
func TestKeyOnce(t *testing.T) {
	dir := t.TempDir()
	engines := []*Engine{newEngine(t, dir), newEngine(t, dir)}
	for i := range 10 {
		runs := filepath.Join(dir, "runs"+strconv.Itoa(i))
		r := sh("echo run >>" + runs)
		r.Key = strconv.Itoa(i)
		ids := make([]string, 8)
		var all sync.WaitGroup
		for j := range ids {
			all.Go(func() {
				a, err := engines[j%2].Create(r)
				if err != nil {
					t.Errorf("create: %v", err)
					return
				}
				ids[j] = a.ID()
			})
		}
		all.Wait()
		wait(t, engines[0], ids[0])
		for _, id := range ids {
			if id != ids[0] {
				t.Fatalf("two atoms: %v", ids)
			}
		}
		if text, err := os.ReadFile(runs); err != nil || string(text) != "run\n" {
			t.Fatalf("it ran so: %q, %v", text, err)
		}
	}
}

const creatorEnv = "ATOM_TEST_CREATOR"

// creator is the program that TestCreatorKilled kills: it creates atoms under
// the keys 0, 1, … until then.
func creator(dir string) {
	e, err := New(context.Background(), Config{StateDir: dir + "/state"}, nil)
	if err != nil {
		panic(err)
	}
	for i := range 1000 {
		if _, err := e.Create(creatorRequest(dir, i)); err != nil {
			panic(err)
		}
	}
	os.Exit(0)
}

func creatorRequest(dir string, i int) *atom.EngineCreateRequest {
	r := sh(fmt.Sprintf("echo run >>%s/runs%d", dir, i))
	r.Key = strconv.Itoa(i)
	return r
}

// TestCreatorKilled kills the engine's process at any moment of a Create. Each
// Key created again gives one atom that ran once.
func TestCreatorKilled(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for range 8 {
		dir := t.TempDir()
		cmd := exec.Command(self)
		cmd.Env = append(os.Environ(), creatorEnv+"="+dir)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		eventually(t, "first atom", func() bool { _, err := os.Stat(dir + "/runs0"); return err == nil })
		// Anywhere within the time that a few creates take.
		time.Sleep(rand.N(20 * time.Millisecond))
		cmd.Process.Kill()
		cmd.Wait()
		eventually(t, "its shims are done", func() bool { return len(shims(dir)) == 0 })

		e := newEngine(t, dir+"/state")
		entries, err := os.ReadDir(dir + "/state/" + atom.DefaultOwner)
		if err != nil {
			t.Fatal(err)
		}
		for i := range len(entries) + 1 { // and one that it did not get to
			a := create(t, e, creatorRequest(dir, i))
			if got := wait(t, e, a.ID); got.Result != atom.Success {
				t.Errorf("atom %d of %d: %+v", i, len(entries), got)
			}
			if text, err := os.ReadFile(fmt.Sprintf("%s/runs%d", dir, i)); err != nil || string(text) != "run\n" {
				t.Errorf("atom %d of %d ran so: %q, %v", i, len(entries), text, err)
			}
		}
		if list, err := e.List(&atom.EngineListRequest{}); err != nil || len(list) != len(entries)+1 {
			t.Errorf("%d atoms for %d keys, %v", len(list), len(entries)+1, err)
		}
	}
}

func TestShimKilled(t *testing.T) {
	e := notified(newEngine(t, t.TempDir()))
	a := create(t, e, sh("sleep 1000 & echo $!; echo $$; wait"))
	dir := dirOf(e, a)
	in, err := e.Logs(&atom.EngineLogsRequest{ID: a.ID, Context: bounded(t)})
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	var child, main int
	if _, err := fmt.Fscan(in, &child, &main); err != nil {
		t.Fatal(err)
	}
	waited := make(chan atom.Info, 1)
	go func() { waited <- wait(t, e, a.ID) }()
	pids := shims(dir)
	if len(pids) != 1 {
		t.Fatalf("shims: %v", pids)
	}
	killed := time.Now()
	if err := syscall.Kill(pids[0], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	got := <-waited
	if got.State != atom.Stopped || got.Result != atom.Unknown || got.ExitCode != nil || !strings.Contains(got.Message, "shim was killed") || got.StoppedAt.Before(killed) {
		t.Errorf("got %+v", got)
	}
	if again := wait(t, newEngine(t, e.store.root), a.ID); !again.StoppedAt.Equal(got.StoppedAt) {
		t.Errorf("another engine says %+v", again)
	}
	var rest string
	if _, err := fmt.Fscan(in, &rest); !errdefs.IsDataLoss(err) {
		t.Errorf("follow ended with %q, %v", rest, err)
	}
	if text, err := tryLogs(t, e, atom.EngineLogsRequest{ID: a.ID}); !errdefs.IsDataLoss(err) || text != fmt.Sprintf("%d\n%d\n", child, main) {
		t.Errorf("logs: %q, %v", text, err)
	}
	eventually(t, "the job is dead", func() bool { return !alive(main) && !alive(child) })
	if err := e.Stop(&atom.EngineStopRequest{ID: a.ID}); err != nil {
		t.Errorf("stop: %v", err)
	}
	if err := e.Delete(&atom.EngineDeleteRequest{ID: a.ID}); err != nil {
		t.Errorf("delete: %v", err)
	}
}

func TestShimToldToEnd(t *testing.T) {
	e := newEngine(t, t.TempDir())
	a := create(t, e, sh("trap 'echo bye; exit 3' TERM; echo up; while :; do sleep 0.01; done"))
	awaitOutput(t, e, a.ID, "up\n")
	for _, pid := range shims(dirOf(e, a)) {
		if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
	}
	if got := wait(t, e, a.ID); got.Result != atom.Failure || *got.ExitCode != 3 {
		t.Errorf("got %+v", got)
	}
}

// half makes what a Create leaves that died before it started a shim.
func half(t *testing.T, e *Engine, r *atom.EngineCreateRequest, age time.Duration) atom.Info {
	t.Helper()
	native := atom.NativeName(atom.DefaultOwner, r.Key)
	v, err := e.store.publish(atom.DefaultOwner, native, r)
	if err != nil || v == nil {
		t.Fatal(v, err)
	}
	if age > 0 {
		v.meta.Created = time.Now().Add(-age).UnixNano()
		if err := errors.Join(os.Remove(filepath.Join(v.dir, state.MetaFile)), state.WriteJSON(v.dir, state.MetaFile, v.meta)); err != nil {
			t.Fatal(err)
		}
	}
	return v.info()
}

func TestHalfMade(t *testing.T) {
	e := newEngine(t, t.TempDir())
	r := sh("echo ran")
	r.Key = "half"

	t.Run("finished under its key", func(t *testing.T) {
		a := half(t, e, r, 14*time.Minute)
		if got := get(t, e, a.ID); got.State != atom.Created {
			t.Errorf("got %+v", got)
		}
		// Asked for here, since afterwards it would leave out what was written.
		in, err := e.Logs(&atom.EngineLogsRequest{ID: a.ID, Tail: atom.TailNone, Context: bounded(t)})
		if err != nil {
			t.Fatal(err)
		}
		defer in.Close()
		followed := make(chan string, 1)
		go func() { // ends with the log
			text, err := io.ReadAll(in)
			if err != nil {
				t.Errorf("following: %v", err)
			}
			followed <- string(text)
		}()
		if got := logs(t, e, atom.EngineLogsRequest{ID: a.ID, NoFollow: true}); got != "" {
			t.Errorf("output %q", got)
		}
		if b := create(t, e, r); b.ID != a.ID {
			t.Errorf("got %s, want %s", b.ID, a.ID)
		}
		if got := <-followed; got != "ran\n" {
			t.Errorf("output %q", got)
		}
		if err := e.Delete(&atom.EngineDeleteRequest{ID: wait(t, e, a.ID).ID}); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("removed when old", func(t *testing.T) {
		a := half(t, e, r, 16*time.Minute)
		if list, err := e.List(&atom.EngineListRequest{}); err != nil || len(list) != 0 {
			t.Errorf("list: %v, %v", list, err)
		}
		if _, err := os.Stat(dirOf(e, a)); !os.IsNotExist(err) {
			t.Errorf("its directory: %v", err)
		}
	})
	t.Run("another's order", func(t *testing.T) {
		// The order of a Create that was overtaken by a Delete and
		// another Create under its Key.
		a := half(t, e, r, 0)
		v, err := e.store.find("", a.ID)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := e.spawn(t.Context(), v, shim.Order{ID: newID("atom-x"), Dir: v.dir, Args: []string{"true"}})
		if err != nil || !answer.Gone || answer.Begun {
			t.Errorf("got %+v, %v", answer, err)
		}
		eventually(t, "the shim is done", func() bool { return len(shims(v.dir)) == 0 })
		if got := get(t, e, a.ID); got.State != atom.Created {
			t.Errorf("got %+v", got)
		}
		if err := e.Delete(&atom.EngineDeleteRequest{ID: a.ID, Force: true}); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("stopped", func(t *testing.T) {
		a := half(t, e, r, 0)
		if err := e.Stop(&atom.EngineStopRequest{ID: a.ID}); err != nil {
			t.Fatal(err)
		}
		if got := create(t, e, r); got.State != atom.Stopped || got.Result != atom.StartupFailure || !strings.Contains(got.Message, "before it was started") {
			t.Errorf("got %+v", got)
		}
		if err := e.Delete(&atom.EngineDeleteRequest{ID: a.ID}); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("deleted", func(t *testing.T) {
		a := half(t, e, r, 0)
		if err := e.Delete(&atom.EngineDeleteRequest{ID: a.ID}); !errdefs.IsFailedPrecondition(err) {
			t.Errorf("without force: %v", err)
		}
		if err := e.Delete(&atom.EngineDeleteRequest{ID: a.ID, Force: true}); err != nil {
			t.Fatal(err)
		}
		if _, err := e.Get(&atom.EngineGetRequest{ID: a.ID}); !errdefs.IsNotFound(err) {
			t.Errorf("get: %v", err)
		}
	})
	t.Run("swept from .tmp", func(t *testing.T) {
		old, young := e.store.tmp("new-", "x"), e.store.tmp("new-", "y")
		grave := e.store.tmp("del-", "z")
		for _, dir := range []string{old, young, grave} {
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
		}
		then := time.Now().Add(-16 * time.Minute)
		if err := os.Chtimes(old, then, then); err != nil {
			t.Fatal(err)
		}
		newEngine(t, e.store.root)
		for dir, want := range map[string]bool{old: false, young: true, grave: false} {
			if _, err := os.Stat(dir); (err == nil) != want {
				t.Errorf("%s: %v", dir, err)
			}
		}
	})
}

// TestPowerCut has files as a crash of the machine may leave them.
func TestPowerCut(t *testing.T) {
	e := newEngine(t, t.TempDir())
	for _, tt := range []struct {
		name, file, content string // content "-" is no file
		found               bool
	}{
		{"atom.json empty", state.MetaFile, "", false},
		{"atom.json gone", state.MetaFile, "-", false},
		{"exit.json blank", state.ExitFile, strings.Repeat(" ", state.ReservedBytes), true},
		{"exit.json gone", state.ExitFile, "-", true},
		{"started.json empty", state.StartedFile, "", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := sh("echo out")
			r.Key = tt.name
			a := create(t, e, r)
			wait(t, e, a.ID)
			path := filepath.Join(dirOf(e, a), tt.file)
			eventually(t, "the shim is done", func() bool { return len(shims(dirOf(e, a))) == 0 })
			err := os.Remove(path)
			if tt.content != "-" {
				err = os.WriteFile(path, []byte(tt.content), 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
			got, err := e.Get(&atom.EngineGetRequest{ID: a.ID})
			if !tt.found {
				if !errdefs.IsNotFound(err) {
					t.Errorf("get: %v", err)
				}
				create(t, e, r) // the Key is not barred
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if tt.file == state.ExitFile && (got.State() != atom.Stopped || got.Result() != atom.Unknown || got.StoppedAt().IsZero()) {
				t.Errorf("got %+v", atom.InfoOf(got))
			}
			if err := e.Delete(&atom.EngineDeleteRequest{ID: a.ID}); err != nil {
				t.Error(err)
			}
		})
	}
	t.Run("lock gone", func(t *testing.T) {
		a := create(t, e, sh("true"))
		wait(t, e, a.ID)
		for _, name := range []string{state.LockFile, state.ExitFile} {
			eventually(t, "the shim is done", func() bool { return len(shims(dirOf(e, a))) == 0 })
			if err := os.Remove(filepath.Join(dirOf(e, a), name)); err != nil {
				t.Fatal(err)
			}
		}
		if got := get(t, e, a.ID); got.State != atom.Stopped || got.Result != atom.Unknown {
			t.Errorf("got %+v", got)
		}
		if err := e.Delete(&atom.EngineDeleteRequest{ID: a.ID}); err != nil {
			t.Error(err)
		}
	})
}

func TestUnusableStateDir(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{file, file + "/below", "/proc/atom-router"} {
		_, err := New(t.Context(), Config{StateDir: path}, nil)
		if fields := atom.AsFieldErrors(err); len(fields) != 1 || fields[0].Field != "state_dir" {
			t.Errorf("%s: %v", path, err)
		}
	}

	e := newEngine(t, dir+"/state")
	if err := os.WriteFile(dir+"/state/"+atom.DefaultOwner, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Create(sh("true")); !errdefs.IsUnavailable(err) || !strings.Contains(err.Error(), "not a directory") {
		t.Errorf("create: %v", err)
	}
	if entries, err := os.ReadDir(dir + "/state/" + tmpDir); err != nil || len(entries) > 0 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
	if err := os.RemoveAll(dir + "/state"); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Probe(t.Context()); !errdefs.IsUnavailable(err) {
		t.Errorf("probe: %v", err)
	}
	create(t, e, sh("true")) // it is made anew
}

func TestConfig(t *testing.T) {
	t.Setenv("XDG_STATE_HOME", "/xdg")
	t.Setenv("HOME", "/home/x")
	if s, err := (Config{}).check(); err != nil || s.stateDir != "/xdg/atom-router" || s.stopTimeout != 10*time.Second {
		t.Errorf("got %+v, %v", s, err)
	}
	t.Setenv("XDG_STATE_HOME", "")
	if s, err := (Config{StopTimeout: "2s"}).check(); err != nil || s.stateDir != "/home/x/.local/state/atom-router" || s.stopTimeout != 2*time.Second {
		t.Errorf("got %+v, %v", s, err)
	}
	t.Setenv("HOME", "")
	for _, tt := range []struct {
		config Config
		want   string
	}{
		{Config{}, "state_dir: is required where neither XDG_STATE_HOME nor HOME is set"},
		{Config{StateDir: "/x", StopTimeout: "10"}, `stop_timeout: "10" is not a duration such as "10s"`},
		{Config{StateDir: "/x", StopTimeout: "-1s"}, "stop_timeout: must be more than 0, got -1s"},
		{Config{StateDir: "/x", Shim: []string{""}}, "shim[0]: names no program"},
	} {
		if _, err := tt.config.check(); err == nil || err.Error() != tt.want {
			t.Errorf("%+v: %v, want %s", tt.config, err, tt.want)
		}
	}
}

// TestNoShim has programs in the shim's place that are none.
func TestNoShim(t *testing.T) {
	for _, tt := range []struct {
		name string
		shim []string
		says string
	}{
		{"missing", []string{"/nope"}, "no such file"},
		{"another program", []string{"/bin/true"}, "must call process.RunShim"},
		{"one that goes on", []string{"/bin/sh", "-c", "exec 3>&-; sleep 1000"}, "must call process.RunShim"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e, err := New(t.Context(), Config{StateDir: t.TempDir(), Shim: tt.shim}, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer e.Close()
			if _, err := e.Create(sh("true")); !errdefs.IsUnavailable(err) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("create: %v", err)
			}
			if list, err := e.List(&atom.EngineListRequest{}); err != nil || len(list) > 0 {
				t.Errorf("left behind: %v, %v", list, err)
			}
		})
	}
	t.Run("an embedding program without the hook", func(t *testing.T) {
		t.Setenv(shim.Env, "1")
		if _, err := New(t.Context(), Config{StateDir: t.TempDir()}, nil); !errdefs.IsFailedPrecondition(err) {
			t.Errorf("new: %v", err)
		}
	})
}

func TestCreateCancelled(t *testing.T) {
	dir := t.TempDir()
	e, err := New(t.Context(), Config{StateDir: dir, Shim: []string{"/bin/sh", "-c", "sleep 1000"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	r := sh("true")
	r.Context = ctx
	begun := time.Now()
	if _, err := e.Create(r); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("create: %v", err)
	}
	if late := time.Since(begun); late > 5*time.Second {
		t.Errorf("it took %v", late)
	}
	if list, err := e.List(&atom.EngineListRequest{}); err != nil || len(list) > 0 {
		t.Errorf("left behind: %v, %v", list, err)
	}
}

// TestCreateLeft leaves Creates at any moment, as a router does that dies. Each
// Key created again gives one atom that ran once, and to its end.
func TestCreateLeft(t *testing.T) {
	dir := t.TempDir()
	e := newEngine(t, dir+"/state")
	begun := time.Now()
	wait(t, e, create(t, e, sh("true")).ID)
	took := time.Since(begun)
	for i := range 40 {
		r := creatorRequest(dir, i)
		ctx, cancel := context.WithTimeout(t.Context(), rand.N(took))
		r.Context = ctx
		_, err := e.Create(r)
		cancel()
		if unknown := new(atom.OutcomeUnknown); err != nil && !errors.Is(err, context.DeadlineExceeded) && !errors.As(err, &unknown) {
			t.Fatal(err)
		}
		if got := wait(t, e, create(t, e, creatorRequest(dir, i)).ID); got.Result != atom.Success {
			t.Errorf("after %v: %+v", err, got)
		}
		if text, err := os.ReadFile(fmt.Sprintf("%s/runs%d", dir, i)); err != nil || string(text) != "run\n" {
			t.Errorf("it ran so: %q, %v", text, err)
		}
	}
}

// TestWithoutNotifier waits and follows where the system notifies of nothing.
func TestWithoutNotifier(t *testing.T) {
	e := newEngine(t, t.TempDir())
	e.watch.close()
	e.watch = newWatcher(noNotifier{}, time.Hour)
	a := create(t, e, sh("echo a; sleep 0.1; echo b"))
	if got := logs(t, e, atom.EngineLogsRequest{ID: a.ID}); got != "a\nb\n" {
		t.Errorf("got %q", got)
	}
	if got := wait(t, e, a.ID); got.Result != atom.Success {
		t.Errorf("got %+v", got)
	}
}

// notified leaves the engine's waiters to the notifier alone, so that what it
// does not tell them they wait for until the test's bound.
func notified(e *Engine) *Engine {
	e.watch.close()
	e.watch = newWatcher(newNotifier(), time.Hour)
	return e
}

func TestManyWaiters(t *testing.T) {
	e := notified(newEngine(t, t.TempDir()))
	a := create(t, e, sh("echo up; sleep 0.3"))
	var all sync.WaitGroup
	for range 200 {
		all.Go(func() {
			if got := wait(t, e, a.ID); got.Result != atom.Success {
				t.Errorf("got %+v", got)
			}
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancelled := make(chan error, 1)
	go func() {
		_, err := e.Wait(&atom.EngineWaitRequest{ID: a.ID, Context: ctx})
		cancelled <- err
	}()
	cancel()
	if err := <-cancelled; !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled wait: %v", err)
	}
	all.Wait()
}
