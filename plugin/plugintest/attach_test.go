package plugintest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"google.golang.org/grpc"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/plugin"
)

// debugged is a plugin that was started by hand.
type debugged struct {
	*exec.Cmd
	said   string
	socket string
}

var socketLine = regexp.MustCompile(`(?m)^ +attach = "(.*)"$`)

// debug starts the test plugin with --debug and reads what it says. TMPDIR is
// where its socket is.
func debug(t *testing.T) *debugged {
	t.Helper()
	d := &debugged{Cmd: exec.Command(self(t), "as-plugin", "--debug")}
	out, err := d.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.kill() })
	var said bytes.Buffer
	for buf := make([]byte, 1024); !strings.HasSuffix(said.String(), "ends the plugin.\n"); {
		n, err := out.Read(buf)
		said.Write(buf[:n])
		if err != nil {
			t.Fatalf("the plugin said %q, and then: %v", said.String(), err)
		}
	}
	d.said = said.String()
	d.socket = socketLine.FindStringSubmatch(d.said)[1]
	return d
}

func (d *debugged) kill() { d.Process.Kill(); d.Wait() }

// tempDir is the plugins' TMPDIR, short enough for a socket.
func tempDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "pt")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	t.Setenv("TMPDIR", dir)
	return dir
}

// attach attaches and configures the plugin with a word.
func attach(t *testing.T, socket, word string) *plugin.Attachment {
	t.Helper()
	a, err := plugin.Attach(t.Context(), socket)
	if err == nil {
		t.Cleanup(func() { a.Close() })
		err = a.Configure(t.Context(), fmt.Appendf(nil, `{"word": %q}`, word))
	}
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func tell(t *testing.T, a *plugin.Attachment, id string) string {
	t.Helper()
	got, err := a.Engine().Get(&atom.EngineGetRequest{ID: id, Context: t.Context()})
	if err != nil {
		t.Fatal(err)
	}
	return got.(atom.Namer).Name()
}

// TestAttach: a plugin that was started by hand serves routers, each as a
// process of its own would, and is nobody's to end.
func TestAttach(t *testing.T) {
	dir := tempDir(t)
	d := debug(t)
	want := fmt.Sprintf(`atom-plugin-test 1.2.3 (protocol %d.%d) waits for a router. Add this to the backend's block of its config:

    attach = %q

and start it with --allow-attach. Ctrl-C ends the plugin.
`, plugin.ProtocolMajor, plugin.ProtocolMinor, fmt.Sprintf("%s/atom-router-debug-%d/test.sock", dir, os.Getuid()))
	if d.said != want {
		t.Errorf("it says\n%swant\n%s", d.said, want)
	}
	if info, err := os.Stat(filepath.Dir(d.socket)); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the socket's directory: %v, %v", info.Mode(), err)
	}
	one, two := attach(t, d.socket, "one"), attach(t, d.socket, "two")
	if desc := one.Description(); desc.Name != "test" || desc.Protocol != fmt.Sprintf("%d.%d", plugin.ProtocolMajor, plugin.ProtocolMinor) {
		t.Errorf("described as %+v", desc)
	}
	if a, b := tell(t, one, "word"), tell(t, two, "word"); a != "one" || b != "two" {
		t.Errorf("the words are %q and %q: routers share an engine", a, b)
	}
	if got := tell(t, one, "pid"); got != strconv.Itoa(d.Process.Pid) {
		t.Errorf("another process serves: %s", got)
	}
	if err := one.Configure(t.Context(), nil); !errdefs.IsFailedPrecondition(err) {
		t.Errorf("a second Configure: %v", err)
	}
	if err := one.Close(); err != nil {
		t.Error(err)
	}
	<-one.Done()
	if err := one.Err(); err != nil {
		t.Errorf("after Close: %v", err)
	}
	if got := tell(t, two, "word"); got != "two" {
		t.Errorf("after the other's Close: %q", got)
	}
	d.Process.Signal(syscall.SIGINT)
	if err := d.Wait(); err != nil {
		t.Errorf("after Ctrl-C: %v", err)
	}
	<-two.Done()
	if err := two.Err(); !errdefs.IsUnavailable(err) || err.Error() != "the attached plugin at "+d.socket+" has gone" {
		t.Errorf("the plugin's end is told as %v", err)
	}
	if _, err := os.Lstat(d.socket); !os.IsNotExist(err) {
		t.Errorf("the socket is left: %v", err)
	}
}

// TestAttachAgain: a plugin that was killed and started again is at the same
// place, and a connection to the first is not one to the second.
func TestAttachAgain(t *testing.T) {
	tempDir(t)
	first := debug(t)
	a := attach(t, first.socket, "a")
	first.kill()
	<-a.Done()
	if _, err := plugin.Attach(t.Context(), first.socket); !errdefs.IsUnavailable(err) || !strings.HasSuffix(err.Error(), "start the plugin with --debug") {
		t.Errorf("attaching to what was left of it: %v", err)
	}
	second := debug(t)
	if second.socket != first.socket {
		t.Errorf("it moved from %s to %s", first.socket, second.socket)
	}
	if _, err := a.Engine().Get(&atom.EngineGetRequest{ID: "word"}); !errdefs.IsUnavailable(err) {
		t.Errorf("a call on the lost connection: %v", err)
	}
	if got := tell(t, attach(t, second.socket, "b"), "word"); got != "b" {
		t.Errorf("got %q", got)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	other := exec.CommandContext(ctx, self(t), "as-plugin", "--debug")
	out, err := other.CombinedOutput()
	want := "atom-plugin-test: another one of its name is being debugged at " + first.socket + "; end that first, or give this one a TMPDIR of its own\n"
	if other.ProcessState.ExitCode() != 1 || string(out) != want {
		t.Errorf("two of one name: %v, %s", err, out)
	}
}

// TestAttachAtBreakpoint: one that stands still is not gone.
func TestAttachAtBreakpoint(t *testing.T) {
	tempDir(t)
	d := debug(t)
	a := attach(t, d.socket, "a")
	stop(t, d.Process.Pid)
	if err := a.Ping(t.Context()); err != nil {
		t.Errorf("ping: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := a.Engine().Get(&atom.EngineGetRequest{ID: "word", Context: ctx}); err != context.Canceled {
		t.Errorf("a cancelled call: %v", err)
	}
	syscall.Kill(d.Process.Pid, syscall.SIGCONT)
	if got := tell(t, a, "word"); got != "a" {
		t.Errorf("when it went on: %q", got)
	}
}

func TestAttachRefused(t *testing.T) {
	dir := tempDir(t)
	d := debug(t)
	private := filepath.Dir(d.socket)
	if err := os.Chmod(private, 0o750); err != nil {
		t.Fatal(err)
	}
	_, err := plugin.Attach(t.Context(), d.socket)
	if want := fmt.Sprintf("attaching to the plugin at %s: %s is not a directory of this user's alone (mode 0700)", d.socket, private); !errdefs.IsInvalidArgument(err) || err.Error() != want {
		t.Errorf("a directory that others may enter: %v", err)
	}
	if err := os.Chmod(private, 0o700); err != nil {
		t.Fatal(err)
	}
	// Something else that speaks gRPC.
	socket := filepath.Join(dir, "other.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer()
	go s.Serve(l)
	defer s.Stop()
	_, err = plugin.Attach(t.Context(), socket)
	if want := "it does not speak version 1 of the plugin protocol; build it with this router's release"; !errdefs.IsInvalidArgument(err) || !strings.HasSuffix(err.Error(), want) {
		t.Errorf("another service: %v", err)
	}
	// Nobody who answers: the caller's context ends it.
	silent := filepath.Join(dir, "silent.sock")
	l, err = net.Listen("unix", silent)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err = plugin.Attach(ctx, silent); err != context.DeadlineExceeded {
		t.Errorf("one that never answers: %v", err)
	}
}

// TestDebugClosesEngines: an engine ends with its router, also where a call is
// under way.
func TestDebugClosesEngines(t *testing.T) {
	tempDir(t)
	d := debug(t)
	a := attach(t, d.socket, "a")
	logs, err := a.Engine().Logs(&atom.EngineLogsRequest{ID: "flood", Tail: 100000})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := logs.Read(make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	d.Process.Signal(syscall.SIGTERM)
	if err := d.Wait(); err != nil {
		t.Errorf("after SIGTERM: %v", err)
	}
	if _, err := io.Copy(io.Discard, logs); !errdefs.IsUnavailable(err) {
		t.Errorf("the logs end with %v", err)
	}
	logs.Close()
}
