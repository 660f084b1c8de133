package versions

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/plugin"
	"github.com/atom-router/atom-router/router"
)

// old is the module of the earlier build, and its plugin and router.
const (
	old       = "testdata/protocol-1.0"
	oldPlugin = old + "/plugin10/main.go"
	oldRouter = old + "/router10/main.go"
)

// bin holds both sides, built from the same sources with the earlier module
// and with this one.
var bin string

func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == asTomorrow {
		serveTomorrow(os.Args[2])
		return
	}
	os.Exit(func() int {
		var err error
		if bin, err = os.MkdirTemp("", "versions"); err == nil {
			defer os.RemoveAll(bin)
			err = build()
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return m.Run()
	}())
}

func build() error {
	run := func(dir string, args ...string) error {
		cmd := exec.Command("go", args...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, out)
		}
		return nil
	}
	for _, err := range []error{
		run(old, "build", "-o", bin+"/", "./plugin10", "./router10"),
		run(".", "build", "-o", filepath.Join(bin, "plugin-today"), oldPlugin),
		run(".", "build", "-o", filepath.Join(bin, "router-today"), oldRouter, filepath.Join(old, "router10", "transcript.go")),
	} {
		if err != nil {
			return err
		}
	}
	return nil
}

// transcript is what each router's end has to say of each plugin.
const transcript = `1 setting, ping <nil>
probe   [delete lookup] <nil>
create  o.k n i map[l:v] r stopped failure 3 "as always" true
create  o.k n i map[l:v] r stopped failure 3 "as always" true
create  already exists: true, another request has the key k
lookup  o.k n i map[l:v] r stopped failure 3 "as always" true
get     o.k n i map[l:v] r stopped failure 3 "as always" true
get     not found: true, there is no atom o.k
list    1, <nil>
logs    "hello\n" "and more\n" <nil>
wait    o.k n i map[l:v] r stopped failure 3 "as always" true
stop    <nil>
delete  <nil>
done
`

// TestBothWays: a plugin of protocol 1.0 works with this router, and this
// plugin with a router of 1.0; and so they do where what is between them says
// more in each message than either knows.
func TestBothWays(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []string{"router10", "router-today"} {
		for _, p := range []string{"plugin10", "plugin-today"} {
			path := filepath.Join(bin, p)
			for name, command := range map[string][]string{
				"": {path}, ", with more in each message": {self, asTomorrow, path},
			} {
				t.Run(r+" and "+p+name, func(t *testing.T) {
					ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
					defer cancel()
					var stderr bytes.Buffer
					cmd := exec.CommandContext(ctx, filepath.Join(bin, r), command...)
					cmd.Stderr = &stderr
					out, err := cmd.Output()
					if err != nil {
						t.Fatalf("%v\n%s%s", err, out, stderr.String())
					}
					if diff := cmp.Diff(transcript, string(out)); diff != "" {
						t.Errorf("-want +got:\n%s%s", diff, stderr.String())
					}
				})
			}
		}
	}
}

// TestRouterOverOldPlugin: the whole router serves a plugin of protocol 1.0,
// also where the caller wants what came later.
func TestRouterOverOldPlugin(t *testing.T) {
	e, err := router.New(t.Context(), router.Config{
		Backends: []router.Backend{{Name: "a", Plugin: "old", Settings: word("hello")}},
		Default:  router.Rule{Tiers: []router.Tier{{Targets: []router.Target{{Backend: "a", Weight: 1}}}}},
	}, router.Options{NoJanitor: true, StartTimeout: time.Minute, Builtin: map[string][]string{"old": {filepath.Join(bin, "plugin10")}}})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	reports := 0
	a, err := e.Create(&atom.EngineCreateRequest{
		Context: t.Context(), Key: "k", Image: "i", Command: []string{"print", "hello"}, Progress: func(atom.Progress) { reports++ },
	})
	if err != nil {
		t.Fatal(err)
	}
	if reports != 0 {
		t.Errorf("%d reports of a plugin that has none", reports)
	}
	if a, err = e.Wait(&atom.EngineWaitRequest{ID: a.ID()}); err != nil || a.ID() != "a:default.k" || a.Result() != atom.Failure {
		t.Errorf("Wait: %v, %v", a, err)
	}
	var found []string
	if err := e.StreamList(&atom.EngineListRequest{Context: t.Context()}, func(a atom.Atom) error { found = append(found, a.ID()); return nil }); err != nil || len(found) != 1 || found[0] != a.ID() {
		t.Errorf("StreamList: %q, %v", found, err)
	}
	logs, err := e.Logs(&atom.EngineLogsRequest{ID: a.ID()})
	if err != nil {
		t.Fatal(err)
	}
	var stdout, stderr strings.Builder
	if err := atom.CopyLogs(&stdout, &stderr, logs); err != nil || stdout.String() != "hello\n" || stderr.String() != "and more\n" {
		t.Errorf("logs %q, %q, %v", stdout.String(), stderr.String(), err)
	}
	logs.Close()
	if err := e.Delete(&atom.EngineDeleteRequest{ID: a.ID()}); err != nil {
		t.Error(err)
	}
	if _, err := e.Get(&atom.EngineGetRequest{ID: a.ID()}); !errdefs.IsNotFound(err) {
		t.Errorf("after Delete: %v", err)
	}
}

// word is the old plugin's config.
type word string

func (w word) Decode(plugin.Schema) ([]byte, error) {
	return fmt.Appendf(nil, `{"word": %q}`, string(w)), nil
}
func (w word) Equal(other router.Settings) bool { return w == other }
func (w word) Explain(err error) error          { return err }

// TestMinor: what each side says of the protocol it was built with.
func TestMinor(t *testing.T) {
	for name, want := range map[string]string{
		"plugin10": "1.0", "plugin-today": fmt.Sprintf("%d.%d", plugin.ProtocolMajor, plugin.ProtocolMinor),
	} {
		p, err := plugin.Launch(t.Context(), plugin.LaunchOptions{Path: filepath.Join(bin, name), StartTimeout: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		if got := p.Description().Protocol; got != want {
			t.Errorf("%s speaks %s, want %s", name, got, want)
		}
		p.Close()
	}
}

// TestOtherMajor: where the protocol's major versions differ, the error says
// which side is to be upgraded.
func TestOtherMajor(t *testing.T) {
	for major, side := range map[int]string{plugin.ProtocolMajor + 1: "router", plugin.ProtocolMajor - 1: "plugin"} {
		path := filepath.Join(t.TempDir(), "other")
		script := fmt.Sprintf("#!/bin/sh\necho '1|%d|unix|/nowhere|grpc|'\nexec sleep 1000\n", major)
		if err := os.WriteFile(path, []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
		_, err := plugin.Launch(t.Context(), plugin.LaunchOptions{Path: path, StartTimeout: time.Minute})
		want := fmt.Sprintf("plugin %s: it speaks version %d of the plugin protocol and this router version %d: upgrade the %s", path, major, plugin.ProtocolMajor, side)
		if !errdefs.IsUnavailable(err) || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}
