package steps

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"path/filepath"
	"testing"
	"time"
)

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
