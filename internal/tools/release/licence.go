package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
)

// licence is a text under which something in the programs may be passed on,
// and which has to go with it.
type licence struct {
	name string // module/LICENSE
	text []byte
}

// licenceFile are the names of such texts.
var licenceFile = regexp.MustCompile(`(?i)^(licen[sc]e|copying|notice|patents)([.-].*)?$`)

// licencesOf collects the texts of modules, and of Go itself.
func licencesOf(modules []*debug.Module) ([]licence, error) {
	goroot, err := output(nil, "go", "env", "GOROOT")
	if err != nil {
		return nil, err
	}
	dirs := map[string]string{"go": goroot}
	args := []string{"list", "-m", "-json"}
	for _, m := range modules {
		args = append(args, m.Path)
	}
	text, err := output(nil, "go", args...)
	if err != nil {
		return nil, err
	}
	for dec := json.NewDecoder(strings.NewReader(text)); dec.More(); {
		var m struct{ Path, Dir string }
		if err := dec.Decode(&m); err != nil {
			return nil, err
		}
		dirs[m.Path] = m.Dir
	}
	var found []licence
	for path, dir := range dirs {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return nil, fmt.Errorf("looking for the licence of %s: %w", path, err)
		}
		before := len(found)
		for _, e := range entries {
			if e.IsDir() || !licenceFile.MatchString(e.Name()) {
				continue
			}
			text, err := os.ReadFile(filepath.Join(dir, e.Name()))
			if err != nil {
				return nil, err
			}
			found = append(found, licence{name: path + "/" + e.Name(), text: text})
		}
		if len(found) == before {
			return nil, fmt.Errorf("module %s has no licence: it may not be passed on", path)
		}
	}
	slices.SortFunc(found, func(a, b licence) int { return cmp.Compare(a.name, b.name) })
	return found, nil
}
