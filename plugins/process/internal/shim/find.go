//go:build linux || darwin

package shim

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// find is the file that the job's PATH has for the name of a program, with the
// words of exec.LookPath where it has none. That is not called because package
// os/exec comes too late; see the package comment.
func find(name string, env []string) (string, error) {
	if strings.Contains(name, "/") {
		return name, nil
	}
	for dir := range strings.SplitSeq(pathOf(env), ":") {
		path := strings.TrimRight(dir, "/") + "/" + name
		if dir == "" {
			path = name
		}
		info, err := os.Stat(path)
		if err != nil || info.IsDir() || unix.Faccessat(unix.AT_FDCWD, path, unix.X_OK, unix.AT_EACCESS) != nil {
			continue
		}
		if path[0] != '/' {
			return "", execError(name, errors.New("cannot run executable found relative to current directory"))
		}
		return path, nil
	}
	return "", execError(name, errors.New("executable file not found in $PATH"))
}

// execError is the text of an exec.Error.
func execError(name string, err error) error { return fmt.Errorf("exec: %q: %w", name, err) }

// pathOf is the last PATH in env.
func pathOf(env []string) string {
	for i := len(env) - 1; i >= 0; i-- {
		if path, ok := strings.CutPrefix(env[i], "PATH="); ok {
			return path
		}
	}
	return ""
}
