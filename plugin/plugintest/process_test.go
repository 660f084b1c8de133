package plugintest

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
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
	"github.com/hashicorp/go-hclog"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/atom/atomtest/memengine"
	"github.com/atom-router/atom-router/atom/container"
	"github.com/atom-router/atom-router/plugin"
)

// protocolVersion is what both sides of these tests speak.
func protocolVersion() string {
	return fmt.Sprintf("%d.%d", plugin.ProtocolMajor, plugin.ProtocolMinor)
}

func TestDescribeAndConfigure(t *testing.T) {
	p := launch(t, "as-plugin")
	d := p.Description()
	if d.Name != "test" || d.Version != "1.2.3" || d.Protocol != protocolVersion() || !d.Capabilities.Has(atom.CapLookup) {
		t.Errorf("described as %+v", d)
	}
	if got := ask(t, p, "word"); got != "hello" {
		t.Errorf("the config's word came as %q", got)
	}
	if err := p.Ping(t.Context()); err != nil {
		t.Errorf("ping: %v", err)
	}
}

func TestConfigureRefused(t *testing.T) {
	p, err := start(t, "as-plugin")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Engine().Get(&atom.EngineGetRequest{ID: "word"}); !errdefs.IsFailedPrecondition(err) {
		t.Errorf("a call before Configure: %v", err)
	}
	for config, want := range map[string]string{
		`{"word": "forbidden"}`: "word: is forbidden",
		`{"wrod": "x"}`:         "wrod: there is no such setting",
		`{"word": 7}`:           "word: must be a string",
		`{"nested": [{"label": "a", "count": "secret"}]}`: "nested[0].count: must be a whole number",
	} {
		err := p.Configure(t.Context(), []byte(config))
		if !errdefs.IsInvalidArgument(err) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", config, err, want)
		}
		if len(atom.AsFieldErrors(err)) != 1 {
			t.Errorf("%s: the field is lost: %v", config, err)
		}
	}
	if err := p.Configure(t.Context(), nil); err != nil {
		t.Errorf("a good config after bad ones: %v", err)
	}
}

func TestEnvironment(t *testing.T) {
	t.Setenv("WANTED_BY_PLUGIN", "one")
	t.Setenv("NAMED_IN_CONFIG", "two")
	t.Setenv("A_SECRET_OF_THE_HOST", "three")
	p := launch(t, "as-plugin", func(o *plugin.LaunchOptions) { o.Env = append(o.Env, "NAMED_IN_CONFIG") })
	env := "\n" + ask(t, p, "env") + "\n"
	for _, want := range []string{"\nWANTED_BY_PLUGIN=one\n", "\nNAMED_IN_CONFIG=two\n", "\nPATH="} {
		if !strings.Contains(env, want) {
			t.Errorf("%q is missing from the plugin's environment", want)
		}
	}
	if strings.Contains(env, "A_SECRET") {
		t.Error("the host's environment leaked into the plugin")
	}
}

func TestNoiseOnStdout(t *testing.T) {
	p := launch(t, "as-noisy")
	if got := ask(t, p, "word"); got != "hello" {
		t.Errorf("got %q", got)
	}
}

func TestPanics(t *testing.T) {
	p := launch(t, "as-plugin")
	_, err := p.Engine().Get(&atom.EngineGetRequest{ID: "panic"})
	if !errdefs.IsInternal(err) || !strings.Contains(err.Error(), "Get") {
		t.Errorf("a panic in Get: %v", err)
	}
	if got := ask(t, p, "word"); got != "hello" {
		t.Errorf("after the panic: %q", got)
	}
}

func TestPanicInConstructor(t *testing.T) {
	p, err := start(t, "as-panicking-constructor")
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Configure(t.Context(), nil); !errdefs.IsInternal(err) || !strings.Contains(err.Error(), "no engine today") {
		t.Errorf("got %v", err)
	}
}

func TestKilledUnderCalls(t *testing.T) {
	p := launch(t, "as-plugin")
	pid, _ := strconv.Atoi(ask(t, p, "pid"))
	a, err := p.Engine().Create(&atom.EngineCreateRequest{Image: memengine.Image, Command: []string{"print", "one", ";", "sleep", "1h"}})
	if err != nil {
		t.Fatal(err)
	}
	waited := make(chan error, 1)
	go func() {
		_, err := p.Engine().Wait(&atom.EngineWaitRequest{ID: a.ID()})
		waited <- err
	}()
	logs, err := p.Engine().Logs(&atom.EngineLogsRequest{ID: a.ID()})
	if err != nil {
		t.Fatal(err)
	}
	defer logs.Close()
	if line, err := bufio.NewReader(logs).ReadString('\n'); line != "one\n" {
		t.Fatalf("read %q, %v", line, err)
	}
	within(t, 5*time.Second, "noticing the kill", func() {
		syscall.Kill(pid, syscall.SIGKILL)
		<-p.Done()
		if err := <-waited; !errdefs.IsUnavailable(err) {
			t.Errorf("Wait ended with %v", err)
		}
		if _, err := io.ReadAll(logs); !errdefs.IsUnavailable(err) {
			t.Errorf("Logs ended with %v", err)
		}
	})
	if err := p.Err(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("the process's end is told as %v", err)
	}
	// Nothing can have come of a request that never went out.
	_, err = p.Engine().Create(&atom.EngineCreateRequest{Image: memengine.Image, Key: "k"})
	if unknown := (*atom.OutcomeUnknown)(nil); !errdefs.IsUnavailable(err) || errors.As(err, &unknown) {
		t.Errorf("a Create at a dead plugin: %v", err)
	}
}

// TestKilledUnderCreate: what came of a request that was under way is not
// known.
func TestKilledUnderCreate(t *testing.T) {
	for _, progress := range []func(atom.Progress){nil, func(atom.Progress) {}} {
		p := launch(t, "as-plugin")
		pid, _ := strconv.Atoi(ask(t, p, "pid"))
		created := make(chan error, 1)
		go func() {
			_, err := p.Engine().Create(&atom.EngineCreateRequest{Image: memengine.Image, Key: "k", Name: hanging, Progress: progress})
			created <- err
		}()
		for deadline := time.Now().Add(5 * time.Second); ask(t, p, "creates") != "1"; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("the Create does not arrive")
			}
		}
		syscall.Kill(pid, syscall.SIGKILL)
		within(t, 5*time.Second, "noticing the kill", func() {
			err := <-created
			var unknown *atom.OutcomeUnknown
			if !errors.As(err, &unknown) || unknown.Key != "k" || !errdefs.IsUnavailable(err) {
				t.Errorf("progress: %v: the Create ended with %v", progress != nil, err)
			}
		})
	}
}

func TestStoppedPlugin(t *testing.T) {
	p := launch(t, "as-plugin")
	pid, _ := strconv.Atoi(ask(t, p, "pid"))
	stop(t, pid)
	within(t, plugin.PingTimeout+2*time.Second, "a ping", func() {
		if err := p.Ping(t.Context()); !errdefs.IsUnavailable(err) {
			t.Errorf("pinging a stopped plugin: %v", err)
		}
	})
	within(t, 10*time.Second, "Close", func() { p.Close() })
	if err := gone(pid, time.Second); err != nil {
		t.Error(err)
	}
}

func TestGrandchildHoldsStderr(t *testing.T) {
	p := launch(t, "as-grandparent")
	pid, _ := strconv.Atoi(ask(t, p, "pid"))
	held, _ := strconv.Atoi(ask(t, p, "grandchild"))
	defer syscall.Kill(held, syscall.SIGKILL)
	syscall.Kill(pid, syscall.SIGKILL)
	within(t, 3*time.Second, "noticing the end", func() { <-p.Done() })
	within(t, 3*time.Second, "Close", func() { p.Close() })
}

// TestHostKilled: the plugin ends within a second of its host's SIGKILL, and
// the next host sweeps up the socket.
func TestHostKilled(t *testing.T) {
	leftNothing(t)
	host := exec.Command(self(t), "as-host")
	host.Env = append(os.Environ(), "SELF="+self(t), "ROLE=as-parent")
	out, err := host.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := host.Start(); err != nil {
		t.Fatal(err)
	}
	line, _ := bufio.NewReader(out).ReadString('\n')
	var pid, child int
	if _, err := fmt.Sscan(line, &pid, &child); err != nil || child == 0 {
		t.Fatalf("the host said %q", line)
	}
	host.Process.Kill()
	host.Wait()
	if err := errors.Join(gone(pid, time.Second), gone(child, time.Second)); err != nil {
		t.Error(err)
	}
	old, _ := filepath.Glob(filepath.Join(os.TempDir(), "atomr-*"))
	if len(old) != 1 {
		t.Fatalf("the killed host left %v, the test expects one directory", old)
	}
	long := time.Now().Add(-time.Hour)
	if err := os.Chtimes(old[0], long, long); err != nil {
		t.Fatal(err)
	}
	p, err := plugin.Launch(t.Context(), plugin.LaunchOptions{Path: self(t), Args: []string{"as-plugin"}})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if _, err := os.Stat(old[0]); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the next launch left %s: %v", old[0], err)
	}
}

// TestHostKilledUnderConfigure: a constructor that hangs does not keep its
// plugin alive.
func TestHostKilledUnderConfigure(t *testing.T) {
	leftNothing(t)
	host := exec.Command(self(t), "as-host")
	host.Env = append(os.Environ(), "SELF="+self(t), "ROLE=as-hanging-constructor")
	if err := host.Start(); err != nil {
		t.Fatal(err)
	}
	pid := 0
	path := filepath.Join(os.TempDir(), "constructing")
	for deadline := time.Now().Add(10 * time.Second); pid == 0; time.Sleep(time.Millisecond) {
		text, _ := os.ReadFile(path)
		pid, _ = strconv.Atoi(string(text))
		if time.Now().After(deadline) {
			t.Fatal("the plugin is not configured")
		}
	}
	host.Process.Kill()
	host.Wait()
	if err := gone(pid, time.Second); err != nil {
		t.Error(err)
	}
	os.Remove(path)
	left, _ := filepath.Glob(filepath.Join(os.TempDir(), "atomr-*"))
	for _, dir := range left { // swept after a minute
		os.RemoveAll(dir)
	}
}

func TestCloseEndsTheGroup(t *testing.T) {
	p := launch(t, "as-parent")
	child, _ := strconv.Atoi(ask(t, p, "grandchild"))
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if err := gone(child, time.Second); err != nil {
		t.Error(err)
	}
	if err := p.Err(); err != nil {
		t.Errorf("an end that was asked for is told as %v", err)
	}
	if err := p.Close(); err != nil {
		t.Errorf("a second Close: %v", err)
	}
	if _, err := p.Engine().Get(&atom.EngineGetRequest{ID: "pid"}); !errdefs.IsUnavailable(err) && !errdefs.IsCanceled(err) {
		t.Errorf("a call after Close: %v", err)
	}
}

func TestCloseClosesTheEngine(t *testing.T) {
	p := launch(t, "as-closer")
	p.Close()
	said := filepath.Join(os.TempDir(), "closed")
	if _, err := os.Stat(said); err != nil {
		t.Errorf("the engine was not closed: %v", err)
	}
	os.Remove(said)
}

func TestCloseOfAnEngineThatHangs(t *testing.T) {
	p := launch(t, "as-hanging-closer")
	pid, _ := strconv.Atoi(ask(t, p, "pid"))
	within(t, 5*time.Second, "Close", func() { p.Close() })
	if err := gone(pid, time.Second); err != nil {
		t.Error(err)
	}
}

// TestLogForwarding: what the plugin logs comes at its levels, and other lines
// of stderr, however long, as debug.
func TestLogForwarding(t *testing.T) {
	var out syncBuffer
	log := hclog.New(&hclog.LoggerOptions{Level: hclog.Debug, Output: &out, DisableTime: true})
	p := launch(t, "as-talker", func(o *plugin.LaunchOptions) { o.Logger, o.Name = log, "gpu" })
	p.Close() // all that was said has then been read
	text := out.String()
	for _, want := range []string{
		"[WARN]  gpu.", "the engine begins: word=hello", "[ERROR] gpu.", "trouble: code=7", "[DEBUG] gpu.", ": detail", ": a plain line", ": after the long line",
		`{"@message": 5}`, `"@level": null`, `{"odd": 1}`, ": well said: n=5",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing", want)
		}
	}
	if t.Failed() {
		t.Logf("the log: %.4000s", text)
	}
}

// TestDeathNamesItsReason: the process's end is told with its last words.
func TestDeathNamesItsReason(t *testing.T) {
	p := launch(t, "as-talker")
	pid, _ := strconv.Atoi(ask(t, p, "pid"))
	syscall.Kill(pid, syscall.SIGABRT) // the runtime dumps its goroutines
	within(t, 5*time.Second, "noticing the end", func() { <-p.Done() })
	if err := p.Err(); !errdefs.IsUnavailable(err) || !strings.Contains(err.Error(), self(t)) || !strings.Contains(err.Error(), ", saying: ") {
		t.Errorf("the end is told as %v", err)
	} else if len(err.Error()) > 2<<10 {
		t.Errorf("the end is told in %d bytes", len(err.Error()))
	}
}

// TestDescriptors: launching and closing leaves no descriptor behind.
func TestDescriptors(t *testing.T) {
	count := func() int {
		open, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(open)
	}
	once := func(path string) {
		p, err := plugin.Launch(t.Context(), plugin.LaunchOptions{Path: path, Args: []string{"as-plugin"}})
		if err == nil {
			err = p.Close()
		}
		if err != nil && path == self(t) {
			t.Fatal(err)
		}
	}
	leftNothing(t)
	once(self(t)) // what is opened once and kept
	once("/bin/true")
	before := count()
	for range 3 {
		once(self(t))
		once("/bin/true")
	}
	if after := count(); after > before {
		t.Errorf("%d descriptors became %d", before, after)
	}
}

// TestSlowReaderCostsLittle: what nobody reads stays with the engine.
func TestSlowReaderCostsLittle(t *testing.T) {
	p := launch(t, "as-plugin")
	rss := func() int { n, _ := strconv.Atoi(ask(t, p, "rss")); return n }
	before := rss()
	logs, err := p.Engine().Logs(&atom.EngineLogsRequest{ID: "flood", Tail: 1 << 30, Context: t.Context()})
	if err != nil {
		t.Fatal(err)
	}
	defer logs.Close()
	if _, err := io.ReadFull(logs, make([]byte, 1<<20)); err != nil {
		t.Fatal(err)
	}
	last := -1
	for now := rss(); now != last; now = rss() { // until it stands still
		last = now
		time.Sleep(50 * time.Millisecond)
	}
	if grown := last - before; grown > 16<<10 {
		t.Errorf("the plugin grew by %d KiB", grown)
	}
}

func TestSignalsAreTheHosts(t *testing.T) {
	p := launch(t, "as-plugin")
	pid, _ := strconv.Atoi(ask(t, p, "pid"))
	for _, s := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		syscall.Kill(pid, s)
	}
	if got := ask(t, p, "word"); got != "hello" {
		t.Errorf("got %q", got)
	}
}

func TestDeletedSocket(t *testing.T) {
	p := launch(t, "as-plugin")
	sockets, _ := filepath.Glob(filepath.Join(os.TempDir(), "atomr-*", "*", "*"))
	if len(sockets) == 0 {
		t.Fatal("found no socket to delete")
	}
	for _, s := range sockets {
		os.Remove(s)
	}
	if got := ask(t, p, "word"); got != "hello" {
		t.Errorf("got %q", got)
	}
}

func TestLargeRequest(t *testing.T) {
	p := launch(t, "as-plugin")
	value := strings.Repeat("x", 30<<20)
	a, err := p.Engine().Create(&atom.EngineCreateRequest{Image: memengine.Image, Spec: container.Spec{Env: map[string]string{"BIG": value}}})
	if err != nil || a.ID() == "" {
		t.Errorf("30 MiB of environment: %.200v", err)
	}
}

func TestCancelThroughTheWire(t *testing.T) {
	p := launch(t, "as-plugin")
	a, err := p.Engine().Create(&atom.EngineCreateRequest{Image: memengine.Image, Command: []string{"ignore", "TERM", ";", "sleep", "1h"}})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Engine().Delete(&atom.EngineDeleteRequest{ID: a.ID(), Force: true})
	calls := map[string]func(context.Context) error{
		"wait": func(ctx context.Context) error {
			_, err := p.Engine().Wait(&atom.EngineWaitRequest{ID: a.ID(), Context: ctx})
			return err
		},
		"stop": func(ctx context.Context) error {
			return p.Engine().Stop(&atom.EngineStopRequest{ID: a.ID(), Timeout: time.Hour, Context: ctx})
		},
		"logs": func(ctx context.Context) error {
			logs, err := p.Engine().Logs(&atom.EngineLogsRequest{ID: a.ID(), Context: ctx})
			if err != nil {
				return err
			}
			defer logs.Close()
			_, err = io.ReadAll(logs)
			return err
		},
	}
	for name, call := range calls {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- call(ctx) }()
			cancel()
			within(t, 3*time.Second, "the end of "+name, func() {
				if err := <-ended; !errors.Is(err, context.Canceled) {
					t.Errorf("ended with %v", err)
				}
			})
		})
	}
}

func TestPin(t *testing.T) {
	text, err := os.ReadFile(self(t))
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(text)
	p := launch(t, "as-plugin", func(o *plugin.LaunchOptions) { o.SHA256 = hex.EncodeToString(sum[:]) })
	if got := ask(t, p, "word"); got != "hello" {
		t.Errorf("got %q", got)
	}
	_, err = plugin.Launch(t.Context(), plugin.LaunchOptions{Path: self(t), Args: []string{"as-plugin"}, SHA256: strings.Repeat("0", 64)})
	if !errdefs.IsInvalidArgument(err) || !strings.Contains(err.Error(), hex.EncodeToString(sum[:])) {
		t.Errorf("another pin: %v", err)
	}
}

// TestNoPlugins: each thing that is no plugin gives one clear error, soon, and
// leaves nothing behind.
func TestNoPlugins(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	cases := []struct{ name, path, want string }{
		{"missing", filepath.Join(dir, "missing"), "there is no such file"},
		{"directory", dir, "it is a directory"},
		{"not executable", file("data", "#!/bin/sh\n", 0o644), "it is not executable (chmod +x)"},
		{"no program", file("bad", "\x7fELFgarbage", 0o755), "it is no program for this machine"},
		{"ends at once", file("true", "#!/bin/sh\nexit 0\n", 0o755), "it ended before its handshake: exit status 0"},
		{"fails", file("fails", "#!/bin/sh\necho out of luck >&2\nexit 3\n", 0o755), "exit status 3, saying: out of luck"},
		{"prints garbage", file("hello", "#!/bin/sh\necho hello\nexec sleep 1000\n", 0o755), `it printed "hello" where a plugin prints its handshake`},
		{"a newer protocol", file("v2", "#!/bin/sh\necho '1|2|unix|/nowhere|grpc|'\nexec sleep 1000\n", 0o755), "it speaks version 2 of the plugin protocol and this router version 1: upgrade the router"},
		{"an older protocol", file("v0", "#!/bin/sh\necho '1|0|unix|/nowhere|grpc|'\nexec sleep 1000\n", 0o755), "it speaks version 0 of the plugin protocol and this router version 1: upgrade the plugin"},
		{"another kind of plugin", file("netrpc", "#!/bin/sh\necho '1|1|unix|/nowhere|netrpc|'\nexec sleep 1000\n", 0o755), "unsupported plugin protocol"},
		{"nobody at its address", file("nobody", "#!/bin/sh\necho '1|1|unix|/nowhere|grpc|'\nexec sleep 1000\n", 0o755), "connect: no such file or directory"},
		{"only half a line", file("half", "#!/bin/sh\nprintf '1|1|un'\nexit 0\n", 0o755), "where a plugin prints its handshake"},
		{"never", file("never", "#!/bin/sh\nexec sleep 1000\n", 0o755), "it did not get ready within 500ms"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			leftNothing(t)
			within(t, 5*time.Second, "the error", func() {
				_, err := plugin.Launch(t.Context(), plugin.LaunchOptions{Path: c.path, StartTimeout: startTimeout(c.name)})
				if err == nil || !strings.HasPrefix(err.Error(), "plugin "+c.path+": ") || !strings.Contains(err.Error(), c.want) {
					t.Errorf("got %v, want %q", err, c.want)
				}
				if !errdefs.IsUnavailable(err) {
					t.Errorf("%v is not Unavailable", err)
				}
			})
			if out, _ := exec.Command("pgrep", "-f", c.path).Output(); len(out) > 0 {
				t.Errorf("left a process behind: %s", out)
			}
		})
	}
}

// startTimeout is short only for the one that runs into it: these machines can
// be slow.
func startTimeout(name string) time.Duration {
	if name == "never" {
		return 500 * time.Millisecond
	}
	return 10 * time.Second
}

func TestLaunchEndsWithItsContext(t *testing.T) {
	leftNothing(t)
	path := filepath.Join(t.TempDir(), "never")
	if err := os.WriteFile(path, []byte("#!/bin/sh\nexec sleep 1000\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	within(t, 5*time.Second, "Launch", func() {
		_, err := plugin.Launch(ctx, plugin.LaunchOptions{Path: path})
		if err == nil {
			t.Error("launched")
		}
	})
}

func TestByHand(t *testing.T) {
	run := func(args ...string) (string, error) {
		out, err := exec.Command(self(t), args...).CombinedOutput()
		return string(out), err
	}
	if out, err := run("as-plugin", "--version"); err != nil || out != "atom-plugin-test 1.2.3 (protocol "+protocolVersion()+")\n" {
		t.Errorf("--version: %q, %v", out, err)
	}
	if out, err := run("as-plugin", "--help"); err != nil || !strings.Contains(out, "plugin_dir") {
		t.Errorf("--help: %q, %v", out, err)
	}
	out, err := run("as-plugin")
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 || !strings.Contains(out, "not by hand") {
		t.Errorf("by hand: %q, %v", out, err)
	}
}

// syncBuffer is a buffer that several goroutines write.
type syncBuffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}
