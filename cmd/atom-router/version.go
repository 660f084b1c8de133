package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/atom-router/atom-router/plugin"
)

// version is set by the linker in a release (see the Makefile).
var version string

// versionText is the version, or the commit that a plain `go build` notes.
func versionText() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "unknown"
}

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Show the version", Args: none,
		Example: "  atom-router version\n  atom-router version -o json",
		RunE: func(*cobra.Command, []string) error {
			protocol := fmt.Sprintf("%d.%d", plugin.ProtocolMajor, plugin.ProtocolMinor)
			if a.output == outputJSON {
				return a.printJSON(map[string]string{
					"version": versionText(), "protocol": protocol, "go": runtime.Version(), "os": runtime.GOOS, "arch": runtime.GOARCH,
				})
			}
			_, err := fmt.Fprintf(a.stdout, "atom-router %s, plugin protocol %s, %s %s/%s\n",
				versionText(), protocol, runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return err
		},
	}
}
