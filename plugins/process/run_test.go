//go:build linux || darwin

package process

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/containerd/errdefs"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/atom/container"
	"github.com/atom-router/atom-router/plugins/process/internal/state"
)

func TestRun(t *testing.T) {
	e := newEngine(t, t.TempDir())
	for _, tt := range []struct {
		name, script string
		result       atom.Result
		code         int
		out          string
	}{
		{"success", "echo out", atom.Success, 0, "out\n"},
		{"failure", "printf unfinished; exit 3", atom.Failure, 3, "unfinished"},
		{"126 of a program that ran", "exit 126", atom.Failure, 126, ""},
		{"killed", "kill -KILL $$", atom.Killed, 137, ""},
		{"terminated", "kill -TERM $$", atom.Terminated, 143, ""},
		{"other signal", "kill -USR1 $$", atom.Failure, 138, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := create(t, e, sh(tt.script))
			out := logs(t, e, atom.EngineLogsRequest{ID: a.ID})
			info := wait(t, e, a.ID)
			if info.State != atom.Stopped || info.Result != tt.result || info.ExitCode == nil || *info.ExitCode != tt.code || out != tt.out {
				t.Errorf("got %+v and %q", info, out)
			}
			if info.StartedAt.Before(info.CreatedAt) || info.StoppedAt.Before(info.StartedAt) {
				t.Errorf("times out of order: %+v", info)
			}
		})
	}
}

// TestStreamsInOrder: what is written to one stream after the other's was
// recorded stands after it. Nothing else orders two pipes.
func TestStreamsInOrder(t *testing.T) {
	dir := t.TempDir()
	e := newEngine(t, dir)
	a := create(t, e, sh("echo out; "+untilFile(dir+"/go")+"; echo err >&2"))
	awaitOutput(t, e, a.ID, "out\n")
	touch(t, dir+"/go")
	if out := logs(t, e, atom.EngineLogsRequest{ID: a.ID}); out != "out\nerr\n" {
		t.Errorf("got %q", out)
	}
}

func TestStartupFailure(t *testing.T) {
	dir := t.TempDir()
	text := filepath.Join(dir, "text")
	if err := os.WriteFile(text, []byte("no program"), 0o700); err != nil {
		t.Fatal(err)
	}
	plain := filepath.Join(dir, "plain")
	if err := os.WriteFile(plain, []byte("#!/bin/sh\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	e := newEngine(t, filepath.Join(dir, "state"))
	for _, tt := range []struct {
		name, work string
		command    []string
		message    string
	}{
		{"not in PATH", "", []string{"atom-no-such-program"}, `exec: "atom-no-such-program": executable file not found in $PATH`},
		{"no such file", "", []string{"/nope/nope"}, `exec: "/nope/nope": no such file or directory`},
		{"not executable", "", []string{plain}, "permission denied"},
		{"a directory", "", []string{dir}, "permission denied"},
		{"no format", "", []string{text}, "exec format error"},
		{"no workdir", "/nope", []string{"true"}, "workdir: stat /nope: no such file or directory"},
		{"workdir is a file", text, []string{"true"}, "is not a directory"},
		{"too many arguments", "", []string{"true", strings.Repeat("x", 1<<20)}, "argument list too long"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := create(t, e, &atom.EngineCreateRequest{Image: "none", Command: tt.command, Spec: container.Spec{WorkDir: tt.work}})
			if a.State != atom.Stopped || a.Result != atom.StartupFailure || !a.StartedAt.IsZero() || a.StoppedAt.IsZero() {
				t.Errorf("got %+v", a)
			}
			if !strings.Contains(a.Message, tt.message) {
				t.Errorf("message %q lacks %q", a.Message, tt.message)
			}
			if a.ExitCode != nil {
				t.Errorf("what never ran has exit code %d", *a.ExitCode)
			}
			if got := wait(t, e, a.ID); got.Result != atom.StartupFailure {
				t.Errorf("wait: %+v", got)
			}
			if out := logs(t, e, atom.EngineLogsRequest{ID: a.ID}); out != "" {
				t.Errorf("it wrote %q", out)
			}
		})
	}
}

func TestJobSeesNothingOfUs(t *testing.T) {
	// What a plugin does about signals must not reach the job.
	ignored := []os.Signal{syscall.SIGHUP, syscall.SIGINT, syscall.SIGTERM, syscall.SIGPIPE, syscall.SIGUSR1, syscall.SIGTSTP}
	signal.Ignore(ignored...)
	defer signal.Reset(ignored...)
	leak, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer leak.Close()
	inherited, err := syscall.Dup(int(leak.Fd())) // not close-on-exec
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(inherited)
	t.Setenv("SECRET_OF_THE_PLUGIN", "x")
	t.Setenv("PATH", "/usr/bin:/bin")
	t.Setenv("HOME", "/home/of/the/plugin")

	e := newEngine(t, t.TempDir())
	r := sh("tr '\\0' '\\n' </proc/$$/environ; pwd; ls /proc/$$/fd; grep SigIgn: /proc/$$/status; ps -o sid= -p $$ | tr -d ' ' | sed s/^$$\\$/leader/")
	r.Spec.Env = map[string]string{"A": "b c", "EMPTY": ""}
	r.Spec.WorkDir = "/usr"
	a := create(t, e, r)
	want := "A=b c\nEMPTY=\nHOME=/home/of/the/plugin\nPATH=/usr/bin:/bin\n/usr\n0\n1\n2\nSigIgn:\t0000000000000000\nleader\n"
	// Signal 32, bit 31, is the C library's own: its posix_spawn, and so make,
	// leaves it ignored in whatever it starts.
	got := strings.Replace(logs(t, e, atom.EngineLogsRequest{ID: a.ID}), "SigIgn:\t0000000080000000", "SigIgn:\t0000000000000000", 1)
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}

	r.Spec.Env = map[string]string{"PATH": "/nowhere", "HOME": "/mine"}
	r.Command = []string{"echo $PATH $HOME"}
	if got := logs(t, e, atom.EngineLogsRequest{ID: create(t, e, r).ID}); got != "/nowhere /mine\n" {
		t.Errorf("got %q", got)
	}
	if files := grep(t, e.store.root, "/mine"); len(files) > 1 { // the log itself
		t.Errorf("a value of the environment is on disk: %v", files)
	}
}

// grep returns the files under dir that hold text.
func grep(t *testing.T, dir, text string) []string {
	var found []string
	err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		if strings.Contains(string(content), text) {
			found = append(found, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestStop(t *testing.T) {
	e := newEngine(t, t.TempDir())
	for _, tt := range []struct {
		name, script string
		request      atom.EngineStopRequest
		result       atom.Result
	}{
		{"obeys", "echo up; sleep 100", atom.EngineStopRequest{}, atom.Terminated},
		{"ignores", "trap '' TERM; echo up; sleep 100", atom.EngineStopRequest{Timeout: time.Millisecond}, atom.Killed},
		{"handles", "trap 'exit 0' TERM; echo up; while :; do sleep 0.01; done", atom.EngineStopRequest{}, atom.Success},
		{"force", "trap '' TERM; echo up; sleep 100", atom.EngineStopRequest{Force: true}, atom.Killed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := create(t, e, sh(tt.script))
			awaitOutput(t, e, a.ID, "up\n")
			r := tt.request
			r.ID = a.ID
			for range 2 { // a stopped one is no error
				if err := e.Stop(&r); err != nil {
					t.Fatal(err)
				}
			}
			if got := get(t, e, a.ID); got.State != atom.Stopped || got.Result != tt.result {
				t.Errorf("got %+v", got)
			}
			// A shell may say on stderr what became of its sleep.
			if got := logs(t, e, atom.EngineLogsRequest{ID: a.ID, Stream: atom.Stdout}); got != "up\n" {
				t.Errorf("output %q", got)
			}
		})
	}
}

func TestForceCutsStopShort(t *testing.T) {
	dir := t.TempDir()
	e := newEngine(t, dir)
	a := create(t, e, sh("trap 'echo term' TERM; echo up; while :; do sleep 0.01; done"))
	awaitOutput(t, e, a.ID, "up\n")
	slow := make(chan error, 1)
	go func() { slow <- e.Stop(&atom.EngineStopRequest{ID: a.ID, Timeout: time.Hour}) }()
	awaitOutput(t, e, a.ID, "up\nterm\n")
	other := newEngine(t, dir) // what is persisted, not what this one remembers
	if got := get(t, other, a.ID); got.State != atom.Stopping || got.Result != atom.Unknown {
		t.Errorf("during the stop: %+v", got)
	}
	if err := other.Stop(&atom.EngineStopRequest{ID: a.ID, Force: true}); err != nil {
		t.Fatal(err)
	}
	if err := <-slow; err != nil {
		t.Error(err)
	}
	if got := get(t, e, a.ID); got.Result != atom.Killed {
		t.Errorf("got %+v", got)
	}
}

func TestGrace(t *testing.T) {
	e := &Engine{stopTimeout: 10 * time.Second}
	for _, tt := range []struct{ asked, own, want time.Duration }{
		{0, 0, 10 * time.Second},
		{0, 3 * time.Second, 3 * time.Second},
		{2 * time.Second, 3 * time.Second, 2 * time.Second},
		{1, 0, time.Second},
		{1500 * time.Millisecond, 0, 2 * time.Second},
		{1<<63 - 1, 0, 1<<63 - 1},
	} {
		if got := e.grace(&view{meta: state.Meta{StopTimeout: tt.own}}, tt.asked); got != tt.want {
			t.Errorf("grace(%v, own %v) = %v, want %v", tt.asked, tt.own, got, tt.want)
		}
	}
}

// TestNothingOutlivesTheMainProcess has descendants that leave the group, hold
// the output open and ignore signals.
func TestNothingOutlivesTheMainProcess(t *testing.T) {
	e := newEngine(t, t.TempDir())
	for _, tt := range []struct{ name, script string }{
		{"same group", "(trap '' TERM HUP; sleep 1000) & echo $!"},
		{"own session", "setsid sh -c 'trap \"\" TERM HUP; echo $$; >up; sleep 1000' & " + untilFile("up")},
		{"orphan of an orphan", "setsid sh -c '(setsid sh -c \"echo \\$\\$; >up; sleep 1000\") & exit' & " + untilFile("up")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := create(t, e, sh("cd "+t.TempDir()+"; "+tt.script))
			out := logs(t, e, atom.EngineLogsRequest{ID: a.ID})
			if info := wait(t, e, a.ID); info.Result != atom.Success {
				t.Errorf("got %+v", info)
			}
			pid, err := strconv.Atoi(strings.TrimSpace(out))
			if err != nil {
				t.Fatalf("output %q", out)
			}
			if alive(pid) {
				t.Errorf("process %d lives", pid)
			}
		})
	}
}

func TestRefused(t *testing.T) {
	e := newEngine(t, t.TempDir())
	for _, tt := range []struct {
		name  string
		edit  func(*atom.EngineCreateRequest)
		class func(error) bool
		says  string
	}{
		{"nothing to run", func(r *atom.EngineCreateRequest) { r.Command, r.Spec.Entrypoint = nil, nil }, errdefs.IsInvalidArgument, "command"},
		{"empty program", func(r *atom.EngineCreateRequest) { r.Command, r.Spec.Entrypoint = []string{""}, nil }, errdefs.IsInvalidArgument, "command[0]"},
		{"mount", func(r *atom.EngineCreateRequest) {
			r.Spec.Mounts = []container.Mount{{Type: container.MountTypeBind, Source: "/a", Target: "/b"}}
		}, errdefs.IsNotImplemented, `spec.mounts (capability "mount_bind")`},
		{"user", func(r *atom.EngineCreateRequest) { r.Spec.User = "nobody" }, errdefs.IsNotImplemented, `spec.user (capability "user")`},
		{"limits", func(r *atom.EngineCreateRequest) { r.Spec.Resources = container.Resources{CPU: 1, Memory: 1, GPUs: 1} }, errdefs.IsNotImplemented,
			`spec.resources.cpu (capability "cpu"), spec.resources.memory (capability "memory"), spec.resources.gpus (capability "gpus")`},
		{"owner", func(r *atom.EngineCreateRequest) { r.Owner = "../x" }, errdefs.IsInvalidArgument, "owner"},
		{"env", func(r *atom.EngineCreateRequest) { r.Spec.Env = map[string]string{"A=": ""} }, errdefs.IsInvalidArgument, "spec.env"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := sh("true")
			tt.edit(r)
			_, err := e.Create(r)
			if err == nil || !tt.class(err) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got %v", err)
			}
		})
	}
	entries, err := os.ReadDir(e.store.root)
	if err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

func TestIDs(t *testing.T) {
	e := newEngine(t, t.TempDir())
	a := create(t, e, sh("true"))
	for _, id := range []string{
		"x", "..", "../default/" + a.ID, strings.Replace(a.ID, ".", "/", 1), a.ID + "a", strings.ToUpper(a.ID), a.ID[:31],
		strings.Replace(a.ID, ".", ".\u00e9", 1), "atom-" + strings.Repeat("a", 26) + "." + strings.Repeat("a", 16),
	} {
		if _, err := e.Get(&atom.EngineGetRequest{ID: id}); !errdefs.IsNotFound(err) {
			t.Errorf("get %q: %v", id, err)
		}
	}
	for _, id := range []string{"", "a\x00b", "\xff", strings.Repeat("a", 10<<10)} {
		if _, err := e.Get(&atom.EngineGetRequest{ID: id}); !errdefs.IsInvalidArgument(err) {
			t.Errorf("get %.20q: %v", id, err)
		}
	}
	for _, owner := range []string{"other", ".tmp", "Default"} {
		if _, err := e.Get(&atom.EngineGetRequest{ID: a.ID, Owner: owner}); err == nil {
			t.Errorf("owner %q sees it", owner)
		}
	}
}

func TestList(t *testing.T) {
	e := newEngine(t, t.TempDir())
	var all []atom.Info
	for range 3 {
		all = append(all, create(t, e, sh("true")))
	}
	other := sh("true")
	other.Owner = "other"
	create(t, e, other)
	ids := func(since, before time.Time) []string {
		list, err := e.List(&atom.EngineListRequest{Since: since, Before: before})
		if err != nil {
			t.Fatal(err)
		}
		ids := []string{}
		for _, a := range list {
			ids = append(ids, a.ID())
		}
		return ids
	}
	a, b, c := all[0], all[1], all[2]
	for _, tt := range []struct {
		name          string
		since, before time.Time
		want          []string
	}{
		{"all", time.Time{}, time.Time{}, []string{a.ID, b.ID, c.ID}},
		{"since is in", b.CreatedAt, time.Time{}, []string{b.ID, c.ID}},
		{"before is out", time.Time{}, b.CreatedAt, []string{a.ID}},
		{"to the nanosecond", b.CreatedAt.Add(1), c.CreatedAt.Add(1), []string{c.ID}},
		{"none", b.CreatedAt, b.CreatedAt, []string{}},
	} {
		if got := ids(tt.since, tt.before); !slices.Equal(got, tt.want) {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestDelete(t *testing.T) {
	e := newEngine(t, t.TempDir())
	r := sh("echo up; sleep 100")
	r.Key = "one"
	a := create(t, e, r)
	if err := e.Delete(&atom.EngineDeleteRequest{ID: a.ID}); !errdefs.IsFailedPrecondition(err) {
		t.Errorf("delete of a running atom: %v", err)
	}
	waited := make(chan error, 1)
	go func() { // ends with the atom
		got, err := e.Wait(&atom.EngineWaitRequest{ID: a.ID, Context: bounded(t)})
		if err == nil && got.Result() != atom.Killed && (got.State() != atom.Deleted || got.Result() != atom.Unknown) {
			err = fmt.Errorf("got %+v", atom.InfoOf(got))
		}
		waited <- err
	}()
	// One that begins after the Delete finds no atom.
	eventually(t, "the Wait watches", func() bool {
		e.watch.mu.Lock()
		defer e.watch.mu.Unlock()
		return len(e.watch.subs) > 0
	})
	if err := e.Delete(&atom.EngineDeleteRequest{ID: a.ID, Force: true}); err != nil {
		t.Fatal(err)
	}
	if err := <-waited; err != nil {
		t.Errorf("wait: %v", err)
	}
	b := create(t, e, r) // the Key is free, and names another incarnation
	if b.ID == a.ID {
		t.Error("the ID came back")
	}
	for _, err := range []error{
		e.Delete(&atom.EngineDeleteRequest{ID: a.ID}),
		e.Stop(&atom.EngineStopRequest{ID: a.ID}),
		second(e.Get(&atom.EngineGetRequest{ID: a.ID})),
		second(e.Wait(&atom.EngineWaitRequest{ID: a.ID})),
		second(e.Logs(&atom.EngineLogsRequest{ID: a.ID})),
	} {
		if !errdefs.IsNotFound(err) {
			t.Errorf("the old ID gives %v", err)
		}
	}
	if err := e.Delete(&atom.EngineDeleteRequest{ID: b.ID, Force: true}); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{atom.DefaultOwner, tmpDir} {
		if entries, err := os.ReadDir(filepath.Join(e.store.root, dir)); err != nil || len(entries) > 0 {
			t.Errorf("%s holds %v, %v", dir, entries, err)
		}
	}
}

// TestShimHoldsNothingOfOurs: whoever waits for the end of a plugin's pipe must
// not wait for its atoms.
func TestShimHoldsNothingOfOurs(t *testing.T) {
	var pipe [2]int
	if err := syscall.Pipe(pipe[:]); err != nil { // not close-on-exec
		t.Fatal(err)
	}
	r, w := os.NewFile(uintptr(pipe[0]), "r"), os.NewFile(uintptr(pipe[1]), "w")
	defer r.Close()
	e := newEngine(t, t.TempDir())
	a := create(t, e, sh("sleep 1000"))
	w.Close()
	ended := make(chan error, 1)
	go func() {
		_, err := r.Read(make([]byte, 1))
		ended <- err
	}()
	select {
	case err := <-ended:
		if !errors.Is(err, io.EOF) {
			t.Error(err)
		}
	case <-time.After(5 * time.Second):
		t.Error("somebody holds our pipe")
		_ = e.Delete(&atom.EngineDeleteRequest{ID: a.ID, Force: true})
		<-ended
	}
}

func second[T any](_ T, err error) error { return err }
