package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/containerd/errdefs"

	"github.com/atom-router/atom-router/atom"
)

// PathVariable names the environment variable that says where the config is.
const PathVariable = "ATOM_ROUTER_CONFIG"

// Find says which config file is meant: flag where it is given, else that of
// $ATOM_ROUTER_CONFIG, else the first that is there of ./atom-router.hcl,
// $XDG_CONFIG_HOME/atom-router/config.hcl and /etc/atom-router/config.hcl.
// What flag and variable name is not looked for: Load says what is wrong with
// it. Where there is none, the error, NotFound, lists the places.
func Find(flag string) (string, error) {
	if flag != "" {
		return flag, nil
	}
	if path := os.Getenv(PathVariable); path != "" {
		return path, nil
	}
	places := places()
	for _, path := range places {
		// What is there and cannot be read is the one that is meant: Load
		// tells why, and a file further down must not stand in for it.
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR) {
			return path, nil
		}
	}
	return "", atom.Errorf(errdefs.ErrNotFound, `no config found
Looked for -c FILE, $%s, and then
  %s
A first one, for jobs as processes of this machine:
  backend "local" { plugin = "process" }
  default { backend = "local" }`, PathVariable, strings.Join(places, "\n  "))
}

func places() []string {
	list := []string{"atom-router.hcl"}
	if dir := os.Getenv("XDG_CONFIG_HOME"); filepath.IsAbs(dir) {
		list = append(list, filepath.Join(dir, "atom-router", "config.hcl"))
	} else if home, err := os.UserHomeDir(); err == nil {
		list = append(list, filepath.Join(home, ".config", "atom-router", "config.hcl"))
	}
	return append(list, "/etc/atom-router/config.hcl")
}

// read returns the text of a config file, or why there is none.
func read(path string) ([]byte, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errors.New("there is no such file")
	}
	if err != nil {
		return nil, cause(err)
	}
	defer func() { _ = f.Close() }()
	if info, err := f.Stat(); err == nil && info.IsDir() {
		return nil, errors.New("this is a directory; name the file in it")
	}
	text, err := io.ReadAll(io.LimitReader(f, maxBytes+1))
	if err != nil {
		return nil, cause(err)
	}
	if len(text) > maxBytes {
		return nil, fmt.Errorf("it has more than %d bytes, which no config needs", maxBytes)
	}
	return text, nil
}

// cause is err without operation and path, which the diagnostic has.
func cause(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}
