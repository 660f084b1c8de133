package plugintest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"go.uber.org/goleak"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/atom/atomtest/memengine"
	"github.com/atom-router/atom-router/plugin"
)

// The test binary is also the plugins and the host that the tests start, by
// its first argument.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && strings.HasPrefix(os.Args[1], "as-") {
		os.Args[0], os.Args = os.Args[1], os.Args[1:]
		roles[os.Args[0]]()
		return
	}
	os.Exit(m.Run())
}

var roles = map[string]func(){
	"as-plugin":  func() { serve(nil) },
	"as-by-hand": serveByHand,
	// A library that prints, before and after the handshake.
	"as-noisy": func() {
		serve(func(e *engine) {
			fmt.Println("noise on os.Stdout")
			syscall.Write(1, []byte("noise on descriptor 1\n"))
			syscall.Write(1, []byte(strings.Repeat("x", 200<<10)+"\n"))
		})
	},
	// Something started by the engine that outlives it and holds its stderr.
	"as-grandparent": func() {
		serve(func(e *engine) {
			held := exec.Command("sleep", "1000")
			held.Stderr = os.Stderr
			held.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
			if err := held.Start(); err != nil {
				panic(err)
			}
			e.grandchild = held.Process.Pid
		})
	},
	// A child in the plugin's own group, which ends with it.
	"as-parent": func() {
		serve(func(e *engine) {
			child := exec.Command("sleep", "1000")
			if err := child.Start(); err != nil {
				panic(err)
			}
			e.grandchild = child.Process.Pid
		})
	},
	// It never ends its constructor, and says so in a file.
	"as-hanging-constructor": func() {
		serve(func(e *engine) {
			os.WriteFile(filepath.Join(os.TempDir(), "constructing"), []byte(fmt.Sprint(os.Getpid())), 0o600)
			select {}
		})
	},
	// It logs at levels, in lines of its own and in one over 64 KiB.
	"as-talker": func() {
		serve(func(e *engine) {
			e.log.Error("trouble", "code", 7)
			e.log.Debug("detail")
			syscall.Write(2, []byte("a plain line\n"))
			syscall.Write(2, []byte(strings.Repeat("y", 300<<10)+"\n"))
			syscall.Write(2, []byte("after the long line\n"))
			// Of these go-plugin expects strings.
			syscall.Write(2, []byte(`{"@message": 5}`+"\n"+`{"@message": "x", "@level": null}`+"\n"+`{"@timestamp": {"odd": 1}}`+"\n"))
			syscall.Write(2, []byte(`{"@message": "well said", "@level": "warn", "n": 5}`+"\n"))
		})
	},
	// Its engine says in a file that it was closed.
	"as-closer": func() {
		serve(func(e *engine) {
			dir := os.TempDir() // gone from the environment later, perhaps
			e.closer = func() error { return os.WriteFile(filepath.Join(dir, "closed"), nil, 0o600) }
		})
	},
	"as-hanging-closer":        func() { serve(func(e *engine) { e.closer = func() error { select {} } }) },
	"as-panicking-constructor": func() { serve(func(*engine) { panic("no engine today") }) },
	// A host that is killed: it launches a plugin, says its process, and
	// hangs. One whose plugin's constructor hangs says nothing.
	"as-host": func() {
		p, err := plugin.Launch(context.Background(), plugin.LaunchOptions{
			Path: os.Getenv("SELF"), Args: []string{os.Getenv("ROLE")}, Env: []string{"GORACE"},
		})
		if err == nil {
			err = p.Configure(context.Background(), nil)
		}
		if err != nil {
			fmt.Println("error:", err)
			os.Exit(1)
		}
		pid, err := p.Engine().Get(&atom.EngineGetRequest{ID: "pid"})
		grandchild, err2 := p.Engine().Get(&atom.EngineGetRequest{ID: "grandchild"})
		fmt.Println(pid.(atom.Namer).Name(), grandchild.(atom.Namer).Name(), err, err2)
		select {}
	},
}

// config is what the test plugins take.
type config struct {
	Word   string   `hcl:"word,optional" doc:"a word" default:"none"`
	Secret string   `hcl:"secret,optional" sensitive:"true"`
	Nested []nested `hcl:"nested,block"`
}

type nested struct {
	Label string `hcl:"label,label"`
	Count int    `hcl:"count"`
}

// engine is an engine in memory with a few odd IDs: "pid", "env" and "word"
// tell in their name of the process, "panic" panics.
type engine struct {
	*memengine.Engine
	config     config
	grandchild int
	creates    atomic.Int32
	closer     func() error
	log        hclog.Logger
}

// Close implements io.Closer.
func (e *engine) Close() error {
	if e.closer != nil {
		return e.closer()
	}
	return e.Engine.Close()
}

// hanging as the Name of a Create makes it take until its caller goes away.
const hanging = "hanging"

func (e *engine) Create(r *atom.EngineCreateRequest) (atom.Atom, error) {
	e.creates.Add(1)
	if r.Name == hanging {
		<-r.Context.Done()
		return nil, r.Context.Err()
	}
	return e.Engine.Create(r)
}

// Logs of "flood" are b.N lines of 200 bytes, as its Tail says.
func (e *engine) Logs(r *atom.EngineLogsRequest) (io.ReadCloser, error) {
	if r.ID == "flood" {
		return atom.NewLogReader(&flood{left: r.Tail}, r.Timestamps), nil
	}
	return e.Engine.Logs(r)
}

type flood struct{ left int }

var floodLine = []byte(strings.Repeat("0123456789", 20)[:199] + "\n")

func (f *flood) Next() (atom.LogChunk, error) {
	if f.left == 0 {
		return atom.LogChunk{}, io.EOF
	}
	f.left--
	return atom.LogChunk{Stream: atom.Stdout, Time: time.Unix(1, 0), Data: append([]byte(nil), floodLine...), Cursor: "c"}, nil
}

func (f *flood) Close() error { return nil }

func (e *engine) Get(r *atom.EngineGetRequest) (atom.Atom, error) {
	tell := func(text string) (atom.Atom, error) {
		return told{atom.New(atom.Info{ID: r.ID, Name: text}, e)}, nil
	}
	switch r.ID {
	case "pid":
		return tell(fmt.Sprint(os.Getpid()))
	case "grandchild":
		return tell(fmt.Sprint(e.grandchild))
	case "creates":
		return tell(fmt.Sprint(e.creates.Load()))
	case "rss":
		return tell(residentKiB())
	case "env":
		return tell(strings.Join(os.Environ(), "\n"))
	case "word":
		return tell(e.config.Word)
	case "panic":
		panic("as asked")
	}
	return e.Engine.Get(r)
}

func serve(before func(*engine)) {
	plugin.Serve(plugin.Plugin[config]{
		Name: "test", Version: "1.2.3", Capabilities: memengine.AllCapabilities(), Env: []string{"WANTED_BY_PLUGIN"},
		New: func(_ context.Context, c config, log hclog.Logger) (atom.Engine, error) {
			e := &engine{Engine: memengine.New(), config: c, log: log}
			if c.Word == "forbidden" {
				return nil, &atom.FieldError{Field: "word", Reason: "is forbidden"}
			}
			log.Warn("the engine begins", "word", c.Word)
			if before != nil {
				before(e)
			}
			return e, nil
		},
	})
}

type told struct{ atom.Atom }

func (t told) Name() string { return t.Atom.(atom.Namer).Name() }

// launch starts this binary in a role and configures it.
func launch(t testing.TB, role string, change ...func(*plugin.LaunchOptions)) *plugin.Process {
	t.Helper()
	p, err := start(t, role, change...)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Configure(t.Context(), []byte(`{"word": "hello"}`)); err != nil {
		t.Fatal(err)
	}
	return p
}

func start(t testing.TB, role string, change ...func(*plugin.LaunchOptions)) (*plugin.Process, error) {
	t.Helper()
	leftNothing(t)
	o := plugin.LaunchOptions{Name: "test", Path: self(t), Args: []string{role}, Env: []string{"GORACE"}}
	for _, c := range change {
		c(&o)
	}
	p, err := plugin.Launch(t.Context(), o)
	if err == nil {
		t.Cleanup(func() {
			if err := p.Close(); err != nil {
				t.Errorf("closing: %v", err)
			}
		})
	}
	return p, err
}

// leftNothing fails the test if, after all its other cleanups, a goroutine or
// a socket is left behind. Sockets are looked for in a directory of its own.
func leftNothing(t testing.TB) {
	t.Helper()
	dir, err := os.MkdirTemp("", "pt")
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", dir)
	// The race detector holds a process back for a second at its end.
	t.Setenv("GORACE", "atexit_sleep_ms=0")
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() {
		if err := goleak.Find(before); err != nil {
			t.Errorf("left behind: %v", err)
		}
		if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
		os.RemoveAll(dir)
	})
}

func self(t testing.TB) string {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// ask is what the plugin tells under one of the odd IDs.
func ask(t testing.TB, p *plugin.Process, id string) string {
	t.Helper()
	a, err := p.Engine().Get(&atom.EngineGetRequest{ID: id, Context: t.Context()})
	if err != nil {
		t.Fatal(err)
	}
	return a.(atom.Namer).Name()
}

// within fails the test if do takes longer than d.
func within(t *testing.T, d time.Duration, what string, do func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); do() }()
	select {
	case <-done:
	case <-time.After(d):
		t.Fatalf("%s took more than %v", what, d)
	}
}

// stop sends SIGSTOP and returns when every thread stands still.
func stop(t *testing.T, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	running := func() bool {
		threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
		for _, path := range threads {
			if text, err := os.ReadFile(path); err == nil && !strings.Contains(string(text), ") T ") {
				return true
			}
		}
		return len(threads) == 0
	}
	for deadline := time.Now().Add(5 * time.Second); running(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("process %d runs on after SIGSTOP", pid)
		}
	}
}

// gone waits for a process to end.
func gone(pid int, d time.Duration) error {
	for deadline := time.Now().Add(d); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) || isZombie(pid) {
			return nil
		}
	}
	return fmt.Errorf("process %d is still there after %v", pid, d)
}

// residentKiB is this process's resident memory as /proc has it.
func residentKiB() string {
	text, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			return strings.Fields(rest)[0]
		}
	}
	return ""
}

func isZombie(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && strings.Contains(string(text), ") Z ")
}
