package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/atom-router/atom-router/internal/testenv"
	"github.com/atom-router/atom-router/internal/testenv/kubespace"
)

// TestScripts is every verb with good and bad input, on the process engine, in
// one process and through a daemon.
func TestScripts(t *testing.T) { runScripts(t, "testdata/script", scene{}, "") }

// TestDockerScripts is the same on a real Docker engine.
func TestDockerScripts(t *testing.T) {
	runScripts(t, "testdata/docker", scene{host: testenv.Docker(t)}, testenv.Image(t))
}

// TestKubeScripts is the same on a real Kubernetes.
func TestKubeScripts(t *testing.T) {
	runScripts(t, "testdata/kube", scene{kube: kubespace.New(t, nil)}, testenv.KubeImage(t))
}

// runScripts runs the scripts of a directory, each in a scene like at, and then
// again with all that asks a router asking a daemon.
func runScripts(t *testing.T, dir string, at scene, image string) {
	t.Run("local", func(t *testing.T) { runScriptsAt(t, dir, at, image, false) })
	t.Run("daemon", func(t *testing.T) { runScriptsAt(t, dir, at, image, true) })
}

func runScriptsAt(t *testing.T, dir string, at scene, image string, far bool) {
	testscript.Run(t, testscript.Params{
		Dir:                dir,
		RequireUniqueNames: true,
		UpdateScripts:      os.Getenv("UPDATE_GOLDEN") != "",
		Setup: func(env *testscript.Env) error {
			tmp, err := shortTemp()
			if err != nil {
				return err
			}
			s := &scene{work: env.WorkDir, tmp: tmp, host: at.host, kube: at.kube, owner: "cli-" + filepath.Base(tmp)}
			env.Values[scene{}] = s
			if far {
				s.daemons = filepath.Join(tmp, "d")
				env.Setenv(farVariable, s.daemons)
			}
			env.Setenv("KUBECONFIG", "")
			if s.kube != nil {
				env.Setenv("KUBECONFIG", s.kube.Kubeconfig)
			}
			env.Setenv("HOME", filepath.Join(env.WorkDir, "home"))
			env.Setenv("XDG_STATE_HOME", filepath.Join(env.WorkDir, "state"))
			env.Setenv("TMPDIR", tmp)
			env.Setenv("LONG", strings.Repeat("x", 10<<10))
			env.Setenv("CONTROL", "process:a\x1b[31m\nb")
			env.Setenv("DOCKER_HOST", s.host)
			env.Setenv("IMAGE", image)
			env.Setenv("OWNER", s.owner)
			env.Defer(func() { s.end(t) })
			return nil
		},
		Condition: func(name string) (bool, error) {
			switch name {
			case "root":
				return os.Geteuid() == 0, nil
			case "daemon":
				return far, nil
			}
			return false, fmt.Errorf("unknown condition %q", name)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":        exits,
			"save":         save,
			"scrub":        scrub,
			"nothing-left": nothingLeft,
			"bytes":        sameBytes,
			"until-logs":   untilLogs,
			"until-text":   untilText,
		},
	})
}

// shortTemp makes a directory whose path leaves room for a socket's.
func shortTemp() (string, error) { return os.MkdirTemp("/tmp", "atc") }

// exits CODE ARG… runs atom-router, which is to exit with that code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: exits CODE [ARG…]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec("atom-router", args[1:]...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// save NAME puts what the last program printed into a variable.
func save(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: save NAME")
	}
	ts.Setenv(args[0], strings.TrimSpace(ts.ReadFile("stdout")))
}

// sameBytes FILE HEX wants a file to be these bytes.
func sameBytes(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: bytes FILE HEX")
	}
	if got := fmt.Sprintf("%x", ts.ReadFile(args[0])); got != args[1] {
		ts.Fatalf("got bytes %s, want %s", got, args[1])
	}
}

// untilLogs TEXT ID waits until the atom has written a text.
func untilLogs(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: until-logs TEXT ID")
	}
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		ts.Check(ts.Exec("atom-router", "logs", args[1]))
		if strings.Contains(ts.ReadFile("stdout"), args[0]) {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("it did not write %q", args[0])
		}
	}
}

// untilText TEXT FILE [TIMES] waits until a file that a program writes has a
// text, so many times.
func untilText(ts *testscript.TestScript, neg bool, args []string) {
	times := 1
	if len(args) == 3 {
		n, err := strconv.Atoi(args[2])
		ts.Check(err)
		times, args = n, args[:2]
	}
	if neg || len(args) != 2 {
		ts.Fatalf("usage: until-text TEXT FILE [TIMES]")
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		text, err := os.ReadFile(ts.MkAbs(args[1])) // it may not be there yet
		if strings.Count(string(text), args[0]) >= times {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("%q is not in %s %d times (%v):\n%s", args[0], args[1], times, err, text)
		}
	}
}

// What differs from run to run, and what scrub makes of it.
var scrubs = []struct {
	pattern *regexp.Regexp
	with    string
}{
	{regexp.MustCompile(`atom-[a-z2-7]{26}\.[a-z2-7]{16}`), "NATIVE"},
	{regexp.MustCompile(`docker:[0-9a-f]{64}`), "docker:NATIVE"},
	{regexp.MustCompile(`kube:[a-z0-9-]+/atom-[a-z2-7]{26}/[0-9a-f-]{36}`), "kube:NATIVE"},
	{regexp.MustCompile(`"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z"`), `"TIME"`},
	{regexp.MustCompile(`(just now|\d+[smhd] ago) +`), "AGO "},
	{regexp.MustCompile(`/\S+/testscript-main\d+/bin`), "BIN"},
	{regexp.MustCompile(`(CREATED|SINCE) +`), "$1 "},
}

// scrub FROM TO copies stdout, stderr or a file without what differs from run
// to run.
func scrub(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: scrub FROM TO")
	}
	text := ts.ReadFile(args[0])
	for _, s := range scrubs {
		text = s.pattern.ReplaceAllString(text, s.with)
	}
	text = strings.ReplaceAll(text, ts.Getenv("WORK"), "WORK")
	if image := ts.Getenv("IMAGE"); image != "" {
		text = strings.ReplaceAll(text, image, "IMAGE")
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(text), 0o600))
}

// nothing-left wants no process, socket, atom or container to be left by what
// the script did so far.
func nothingLeft(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 0 {
		ts.Fatalf("usage: nothing-left")
	}
	ts.Check(ts.Value(scene{}).(*scene).left(true))
}

// end is at the end of each script, which has to leave nothing.
func (s *scene) end(t *testing.T) {
	if err := s.left(true); err != nil {
		t.Errorf("%s: %v", filepath.Base(s.work), err)
		s.removeAtoms()
	}
	if err := os.RemoveAll(s.tmp); err != nil {
		t.Error(fmt.Errorf("removing the temporary directory: %w", err))
	}
}
