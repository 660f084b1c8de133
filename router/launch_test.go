package router

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"
)

func TestFindPlugin(t *testing.T) {
	first, second, onPath := t.TempDir(), t.TempDir(), t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if self, err = filepath.EvalSymlinks(self); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{
		filepath.Join(second, "atom-plugin-second"),
		filepath.Join(second, "atom-plugin-both"), filepath.Join(first, "atom-plugin-both"),
		filepath.Join(onPath, "atom-plugin-path"),
		filepath.Join(filepath.Dir(self), "atom-plugin-beside"),
		filepath.Join(first, "atom-plugin-dir", "x"),
	} {
		os.MkdirAll(filepath.Dir(file), 0o755)
		if err := os.WriteFile(file, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", onPath)
	l := &launcher{dirs: []string{first, second}, builtin: map[string][]string{"both": {"no"}, "own": {"/self", "serve"}, "dir": {"/dir"}}}
	for name, want := range map[string][]string{
		"second": {filepath.Join(second, "atom-plugin-second")},
		"both":   {filepath.Join(first, "atom-plugin-both")},
		"beside": {filepath.Join(filepath.Dir(self), "atom-plugin-beside")},
		"own":    {"/self", "serve"},
		"dir":    {"/dir"},
	} {
		got, err := FindPlugin(name, l.dirs, l.builtin)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%s: %v\n%s", name, err, diff)
		}
	}
	_, err = FindPlugin("path", l.dirs, l.builtin)
	want := `plugin "path": there is no atom-plugin-path in ` + strings.Join([]string{first, second, filepath.Dir(self)}, ", ") + " (PATH is not searched)"
	if !errdefs.IsUnavailable(err) || err.Error() != want {
		t.Errorf("%v\nwant %s", err, want)
	}
}
