//go:build linux || darwin

package state

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// Touch makes an empty file where there is none.
func Touch(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}

func Gone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}

var ErrNotJSON = errors.New("not JSON")

func ReadJSON(path string, into any) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, into); err != nil {
		return errors.Join(ErrNotJSON, err)
	}
	return nil
}

// WriteJSON makes the file appear whole; where there is one already, that one
// stays.
func WriteJSON(dir, name string, value any) error {
	text, err := json.Marshal(value)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, name+".")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(text)
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Link(f.Name(), dir+"/"+name); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}
