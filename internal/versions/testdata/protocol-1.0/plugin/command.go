package plugin

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/containerd/errdefs"

	"github.com/atom-router/atom-router/atom"
)

// commandOf is the command that starts the plugin. What can be seen to be
// wrong with the file is an error here, in better words than the system's. A
// pinned one may be copied to dir.
func commandOf(o LaunchOptions, dir string) (*exec.Cmd, error) {
	path, err := filepath.Abs(o.Path)
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, errors.New("there is no such file")
	case err != nil:
		return nil, err
	case info.IsDir():
		return nil, errors.New("it is a directory, not a program")
	case info.Mode()&0o111 == 0:
		return nil, errors.New("it is not executable (chmod +x)")
	}
	if o.SHA256 == "" {
		return &exec.Cmd{Path: path, Args: append([]string{path}, o.Args...)}, nil
	}
	file, cmd, err := unchanging(path, dir)
	if err != nil {
		return nil, err
	}
	hash := sha256.New()
	if _, err := io.Copy(hash, file); err != nil {
		file.Close()
		return nil, err
	}
	if sum := hex.EncodeToString(hash.Sum(nil)); !strings.EqualFold(sum, o.SHA256) {
		file.Close()
		return nil, atom.Errorf(errdefs.ErrInvalidArgument, "its sha256 is %s, and the config pins %s", sum, strings.ToLower(o.SHA256))
	}
	cmd.Args = append([]string{path}, o.Args...)
	return cmd, nil
}

// environment is what a plugin gets of this process's own, before it says what
// it wants.
func environment(further []string) []string {
	var env []string
	for _, name := range append([]string{"PATH", "HOME", "TMPDIR", "LANG", "TZ"}, further...) {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	return env
}
