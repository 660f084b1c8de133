package steps

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestMain makes the test binary the probe where a test starts it as one.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && !strings.HasPrefix(os.Args[1], "-") {
		os.Exit(Main(os.Args[1:], os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

func TestMainSteps(t *testing.T) {
	file := filepath.Join(t.TempDir(), "f")
	for _, c := range []struct {
		name        string
		args        []string
		out, errOut string
		code        int
	}{
		{"nothing", nil, DefaultLine, "", 0},
		{"one step", []string{"print", "a", "b"}, "a b\n", "", 0},
		{"several", []string{"print", "a", ";", "eprint", "b", ";", "sleep", "1ms", ";", "write", "c", ";", "exit", "3", ";", "print", "never"}, "a\nc", "b\n", 3},
		{"separators alone", []string{";", ";"}, "", "", 0},
		{"both", []string{"both", "2"}, "out 0\nout 1\n", "err 0\nerr 1\n", 0},
		{"lines", []string{"lines", "2", "1ms", "w"}, "w 0\nw 1\n", "", 0},
		{"files", []string{"put", file, "x", ";", "cat", file, ";", "tryput", file, "y", ";", "tryput", file + "/no", "z"}, "xwritten\nrefused\n", "", 0},
		{"await", []string{"put", file, "x", ";", "await", file, ";", "print", "there"}, "there\n", "", 0},
		{"args", []string{"args", "$$", ""}, `["$$",""]` + "\n", "", 0},
		{"no such step", []string{"jump"}, "", "probe: jump: no such step\n", 1},
		{"a missing argument", []string{"exit"}, "", "probe: exit: runtime error: index out of range [0] with length 0 (arguments [])\n", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out, errOut bytes.Buffer
			if code := Main(c.args, &out, &errOut); code != c.code || out.String() != c.out || errOut.String() != c.errOut {
				t.Errorf("code %d, %q, %q; want %d, %q, %q", code, &out, &errOut, c.code, c.out, c.errOut)
			}
		})
	}
}

func TestClock(t *testing.T) {
	var out bytes.Buffer
	before := time.Now().UnixNano()
	if code := Main([]string{"clock", "2", "1ms"}, &out, &out); code != 0 {
		t.Fatal(out.String())
	}
	var first, second int64
	if _, err := fmt.Sscanf(out.String(), "%d\n%d\n", &first, &second); err != nil || first < before || second < first+int64(time.Millisecond) {
		t.Errorf("%q after %d: %v", &out, before, err)
	}
}

func TestInfo(t *testing.T) {
	t.Setenv("PROBE_TEST", "a=b\nc")
	var out bytes.Buffer
	if code := Main([]string{"info"}, &out, &out); code != 0 {
		t.Fatal(out.String())
	}
	var info Info
	if err := json.Unmarshal(out.Bytes(), &info); err != nil || info.Env["PROBE_TEST"] != "a=b\nc" || info.Cwd == "" {
		t.Errorf("%+v, %v", info, err)
	}
}

// The grandchild holds both outputs after its parent's end.
func TestSpawn(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var ends [2]*os.File
	cmd := exec.Command(self, "spawn", "45s")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	for i, to := range []*io.Writer{&cmd.Stdout, &cmd.Stderr} {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		ends[i], *to = r, w
	}
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	defer syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	cmd.Stdout.(*os.File).Close()
	cmd.Stderr.(*os.File).Close()
	for i, r := range ends {
		if err := r.SetReadDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		if n, err := r.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("descriptor %d is not held: %d bytes, %v", i+1, n, err)
		}
		r.Close()
	}
}

// The known bytes are compared across builds of probe and suite: they never
// change.
func TestKnown(t *testing.T) {
	for kind, want := range map[Kind]string{Lines: "20694587f8fa07ba", Binary: "dfc798d99ff277fc", Text: "b5d4edbd9f8cde12"} {
		got := Known(kind, 42, 100_000)
		sum := sha256.Sum256(got)
		if text := hex.EncodeToString(sum[:8]); text != want {
			t.Errorf("%s: %s, want %s", kind, text, want)
		}
		if !bytes.Equal(Known(kind, 42, 1000), got[:1000]) || bytes.Equal(Known(kind, 43, 1000), got[:1000]) {
			t.Errorf("%s: size changes what is written, or the seed does not", kind)
		}
	}
	var out, errOut bytes.Buffer
	Main([]string{"pour", "50000", "binary", "7", "both"}, &out, &errOut)
	if !bytes.Equal(out.Bytes(), Known(Binary, 7, 50000)) || !bytes.Equal(errOut.Bytes(), Known(Binary, 8, 50000)) {
		t.Error("pour writes something else")
	}
}
