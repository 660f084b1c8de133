package atomtest

import (
	"os"
	"path/filepath"

	"github.com/atom-router/atom-router/atom/atomtest/internal/steps"
)

// probeName is the name by which a program that calls RunProbe is the probe:
// that of the program in the probe image.
const probeName = "probe"

// RunProbe makes a program the probe, and does not return, where it was
// started by the name "probe": a program that calls it first in its main needs
// no go command to have atoms run the probe, see CopyProbe.
func RunProbe() {
	if len(os.Args) > 0 && filepath.Base(os.Args[0]) == probeName {
		os.Exit(steps.Main(os.Args[1:], os.Stdout, os.Stderr))
	}
}

// CopyProbe puts the running program, whose main calls RunProbe, into dir by
// the probe's name and returns its absolute path: the Program of an Env, and
// what WriteProbeImage takes if it is a static one for Linux.
func CopyProbe(dir string) (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	path, err := filepath.Abs(filepath.Join(dir, probeName))
	if err != nil {
		return "", err
	}
	// A copy costs tens of megabytes; a link does not work everywhere.
	if os.Link(self, path) == nil {
		return path, nil
	}
	text, err := os.ReadFile(self)
	if err != nil {
		return "", err
	}
	return path, os.WriteFile(path, text, 0o755)
}
