package main

import (
	"runtime/debug"
	"testing"
)

func TestSourceOf(t *testing.T) {
	git := func(settings ...debug.BuildSetting) *debug.BuildInfo {
		return &debug.BuildInfo{Main: debug.Module{Version: "v1.2.3"}, Settings: settings}
	}
	commit := debug.BuildSetting{Key: "vcs.revision", Value: "0123456789abcdef0123456789abcdef01234567"}
	for _, c := range []struct {
		name, version, commit string
		info                  *debug.BuildInfo
		want                  string
	}{
		{"nothing is known", "", "", nil, "unknown"},
		{"go install of a version", "", "", git(), "v1.2.3"},
		{"the linker's word comes first", "v2.0.0", "", git(commit, debug.BuildSetting{Key: "vcs.modified", Value: "false"}), "v2.0.0 (commit 0123456789ab)"},
		{"a changed checkout", "", "", git(commit, debug.BuildSetting{Key: "vcs.modified", Value: "true"}), "v1.2.3 (commit 0123456789ab, modified)"},
		{"a commit of few letters", "v1", "", git(debug.BuildSetting{Key: "vcs.revision", Value: "12ab"}), "v1 (commit 12ab)"},
		{"a release, which is not noted in the binary", "v1-dirty", "0123456789abcdef", &debug.BuildInfo{}, "v1-dirty (commit 0123456789ab, modified)"},
		{"the linker's word on the commit, too", "v1", "ffff", git(commit), "v1 (commit ffff)"},
	} {
		if got := sourceOf(c.version, c.commit, c.info).String(); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}
