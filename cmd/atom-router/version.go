package main

import (
	"cmp"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	"github.com/atom-router/atom-router/plugin"
)

// version and commit are set by the linker in a release (see the Makefile).
var version, commit string

// source is what a binary was built from.
type source struct {
	version  string
	commit   string // "" where the build had no git to ask
	modified bool   // by what was not committed
}

// sourceOf puts together what the linker was told, which may be nothing, and
// what the go command noted in the binary.
func sourceOf(version, commit string, info *debug.BuildInfo) source {
	if info == nil {
		info = &debug.BuildInfo{}
	}
	s := source{version: version, commit: commit, modified: strings.HasSuffix(version, "-dirty")}
	s.version = cmp.Or(s.version, info.Main.Version, "unknown")
	for _, setting := range info.Settings {
		switch setting.Key {
		case "vcs.revision":
			s.commit = cmp.Or(s.commit, setting.Value)
		case "vcs.modified":
			s.modified = s.modified || setting.Value == "true"
		}
	}
	return s
}

// String is for people.
func (s source) String() string {
	text := s.version
	if s.commit != "" {
		text += " (commit " + s.commit[:min(len(s.commit), 12)]
		if s.modified {
			text += ", modified"
		}
		text += ")"
	}
	return text
}

func ownSource() source {
	info, _ := debug.ReadBuildInfo()
	return sourceOf(version, commit, info)
}

// versionJSON is a stable contract.
type versionJSON struct {
	Version  string  `json:"version"`
	Commit   *string `json:"commit"` // null where it is not known
	Modified bool    `json:"modified"`
	Protocol string  `json:"protocol"`
	Go       string  `json:"go"`
	OS       string  `json:"os"`
	Arch     string  `json:"arch"`
}

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Show the version", Args: none,
		Example: "  atom-router version\n  atom-router version -o json",
		RunE: func(*cobra.Command, []string) error {
			own := ownSource()
			protocol := fmt.Sprintf("%d.%d", plugin.ProtocolMajor, plugin.ProtocolMinor)
			if a.output == outputJSON {
				v := versionJSON{
					Version: own.version, Modified: own.modified, Protocol: protocol,
					Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH,
				}
				if own.commit != "" {
					v.Commit = &own.commit
				}
				return a.printJSON(v)
			}
			_, err := fmt.Fprintf(a.stdout, "atom-router %s, plugin protocol %s, %s %s/%s\n",
				own, protocol, runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return err
		},
	}
}
