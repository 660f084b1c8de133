package daemon

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"

	"github.com/atom-router/atom-router/atom"
)

func TestSocketIsPrivate(t *testing.T) {
	s := newSite(t)
	s.start(s.config("listen \"unix\" {\n  path = \"run/s\"\n}"))
	for path, want := range map[string]os.FileMode{"run": 0o700, "run/s": 0o600} {
		info, err := os.Stat(s.path(path))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != want {
			t.Errorf("%s has mode %#o, want %#o", path, info.Mode().Perm(), want)
		}
	}
}

// What a killed daemon leaves does not keep the next one from listening.
func TestStaleSocketIsTakenOver(t *testing.T) {
	s := newSite(t)
	l, err := net.Listen("unix", s.path("s"))
	if err != nil {
		t.Fatal(err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	l.Close()
	s.start(s.config(s.listen()))
	if _, err := s.dial(s.endpoint()).List(&atom.EngineListRequest{Context: within(t)}); err != nil {
		t.Error(err)
	}
}

// What is in the way of a socket, and is nothing to be taken over, is told,
// and left alone.
func TestSocketsThatCannotBe(t *testing.T) {
	for name, test := range map[string]struct {
		prepare func(t *testing.T, path string)
		want    string
	}{
		"busy": {func(t *testing.T, path string) {
			l, err := net.Listen("unix", path)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { l.Close() })
		}, " is in use: another daemon listens there"},
		"a file": {func(t *testing.T, path string) {
			if err := os.WriteFile(path, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}, " is there and is no socket"},
		"everybody's directory": {func(t *testing.T, path string) {
			if err := os.Chmod(filepath.Dir(path), 0o777|os.ModeSticky); err != nil {
				t.Fatal(err)
			}
		}, "can be written by everybody (mode 0777)"},
		"another's directory": {func(t *testing.T, path string) {
			if os.Geteuid() != 0 {
				t.Skip("only root can give a directory away")
			}
			if err := os.Chown(filepath.Dir(path), 12345, 12345); err != nil {
				t.Fatal(err)
			}
		}, "belongs to another user (uid 12345)"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			if err := os.Mkdir(s.path("run"), 0o700); err != nil {
				t.Fatal(err)
			}
			path := s.path("run/s")
			test.prepare(t, path)
			before, _ := os.Lstat(path)
			_, err := Start(t.Context(), options(s.config("listen \"unix\" {\n  path = \"run/s\"\n}"), hclog.NewNullLogger()))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got error %v, want %q in it", err, test.want)
			}
			after, _ := os.Lstat(path)
			if (before == nil) != (after == nil) || before != nil && !os.SameFile(before, after) {
				t.Error("what was there is not there any more")
			}
		})
	}
}
