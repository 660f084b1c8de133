package examples

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/go-hclog"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/internal/testenv"
	"github.com/atom-router/atom-router/plugin"
	"github.com/atom-router/atom-router/plugin/driver"
)

func TestPythonPlugin(t *testing.T) {
	t.Parallel() // one promise of an exam waits for half a minute
	testenv.Python(t)
	binary := filepath.Join(t.TempDir(), "atom-plugin-python")
	if out, err := exec.CommandContext(t.Context(), "plugin-python/build.sh", binary).CombinedOutput(); err != nil {
		t.Fatalf("build.sh: %v\n%s", err, out)
	}
	for name, test := range map[string]func(*testing.T, string){
		"passes the exam":            examine,
		"describes itself":           describesItself,
		"says what is wrong":         saysWhatIsWrong,
		"logs to its host at levels": logsAtLevels,
		"ignores signals":            ignoresSignals,
		"may be pinned":              mayBePinned,
	} {
		t.Run(name, func(t *testing.T) { test(t, binary) })
	}
}

func describesItself(t *testing.T, binary string) {
	p := launch(t, `{}`, plugin.LaunchOptions{Path: binary})
	want := plugin.Description{
		Name: "python", Version: "0.1.0", Protocol: "1.0", Capabilities: driver.Capabilities(),
		Schema: plugin.Schema{Attributes: []plugin.Attribute{{
			Name: "dir", Type: json.RawMessage(`"string"`), Default: "/", Doc: "where atoms without a working directory start",
		}}},
	}
	if diff := cmp.Diff(want, p.Description()); diff != "" {
		t.Error(diff)
	}
	if err := p.Ping(t.Context()); err != nil {
		t.Error(err)
	}
	if got, err := p.Engine().Probe(t.Context()); err != nil || cmp.Diff(driver.Capabilities(), got) != "" {
		t.Errorf("probed: %v, %v", got, err)
	}
}

// saysWhatIsWrong: errors have their class, and name fields.
func saysWhatIsWrong(t *testing.T, binary string) {
	p, err := plugin.Launch(t.Context(), plugin.LaunchOptions{Path: binary})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	get := func() error {
		_, err := p.Engine().Get(&atom.EngineGetRequest{ID: "x"})
		return err
	}
	if err := get(); !errdefs.IsFailedPrecondition(err) {
		t.Errorf("a call before Configure: %v", err)
	}
	field := func(err error, want string) {
		t.Helper()
		if fields := atom.AsFieldErrors(err); len(fields) != 1 || fields[0].Field != want || !errdefs.IsInvalidArgument(err) {
			t.Errorf("got %v, want a field error of %q", err, want)
		}
	}
	field(p.Configure(t.Context(), []byte(`{"dri": "/"}`)), "dri")
	field(p.Configure(t.Context(), []byte(`{"dir": 7}`)), "dir")
	if err := p.Configure(t.Context(), []byte(`{"dir": "/tmp"}`)); err != nil {
		t.Fatal(err)
	}
	if err := p.Configure(t.Context(), nil); !errdefs.IsFailedPrecondition(err) {
		t.Errorf("configured twice: %v", err)
	}
	if err := get(); !errdefs.IsNotFound(err) || err.Error() != "no atom 'x'" {
		t.Errorf("an atom that is not there: %v", err)
	}
	_, err = p.Engine().Create(&atom.EngineCreateRequest{Image: "none"})
	field(err, "command")
}

func logsAtLevels(t *testing.T, binary string) {
	var log bytes.Buffer
	p := launch(t, `{"dir": "/tmp"}`, plugin.LaunchOptions{Path: binary, Logger: hclog.New(&hclog.LoggerOptions{Output: &log, Level: hclog.Debug})})
	p.Close() // its stderr has then been read to the end
	for _, want := range []string{
		"[INFO]  atom-plugin-python: atoms are children of this process: dir=/tmp",
		"[DEBUG] atom-plugin-python: serving: socket=/",
	} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log is %q, want %q in it", log.String(), want)
		}
	}
}

// parent starts an atom and returns the process that did.
func parent(t *testing.T, e atom.Engine) int {
	t.Helper()
	a, err := e.Create(&atom.EngineCreateRequest{Image: "none", Command: []string{"sh", "-c", "echo $PPID; sleep 1000 & wait"}})
	if err != nil {
		t.Fatal(err)
	}
	logs, err := e.Logs(&atom.EngineLogsRequest{ID: a.ID()})
	if err != nil {
		t.Fatal(err)
	}
	defer logs.Close()
	line, err := bufio.NewReader(logs).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

// ignoresSignals: those that reach whole process groups do not end a plugin,
// and those whom it starts die of them all the same.
func ignoresSignals(t *testing.T, binary string) {
	p := launch(t, `{}`, plugin.LaunchOptions{Path: binary})
	pid := parent(t, p.Engine())
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		if err := syscall.Kill(pid, signal); err != nil {
			t.Fatal(err)
		}
		a, err := p.Engine().Create(&atom.EngineCreateRequest{Image: "none", Command: []string{"sh", "-c", fmt.Sprintf("kill -%d $$; sleep 1000", signal)}})
		if err != nil {
			t.Fatal(err)
		}
		a, err = p.Engine().Wait(&atom.EngineWaitRequest{ID: a.ID()})
		if err != nil {
			t.Fatal(err)
		}
		if code := atom.InfoOf(a).ExitCode; code == nil || *code != 128+int(signal) {
			t.Errorf("an atom's %v: exit code %v", signal, code)
		}
	}
	select {
	case <-p.Done():
		t.Errorf("it ended: %v", p.Err())
	default:
	}
}

// mayBePinned: a pinned file is executed by its descriptor, which a script's
// interpreter has to get along with.
func mayBePinned(t *testing.T, binary string) {
	text, err := os.ReadFile(binary)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(text)
	p := launch(t, `{}`, plugin.LaunchOptions{Path: binary, SHA256: hex.EncodeToString(sum[:])})
	parent(t, p.Engine())
}
